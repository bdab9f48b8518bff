package storetest

import (
	"math/rand/v2"
	"sync"

	"github.com/cubby-storage/cubby/store"
)

// big returns content of the least size that a part may have, always the same.
var big = sync.OnceValue(func() string {
	b := make([]byte, store.MinPartSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
})
