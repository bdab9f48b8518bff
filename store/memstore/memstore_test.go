package memstore_test

import (
	"testing"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
	"github.com/cubby-storage/cubby/store/storetest"
)

func TestBucket(t *testing.T) {
	// Slow, because TestStore runs all of it on the same type.
	opts := &storetest.Options{Slow: true}
	storetest.Run(t, func(t *testing.T) store.Bucket { return new(memstore.Bucket) }, opts)
}

func TestStore(t *testing.T) {
	storetest.RunService(t, func(t *testing.T) store.Service { return memstore.New() }, nil)
}
