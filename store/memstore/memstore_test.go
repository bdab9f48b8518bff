package memstore_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/memstore"
	"github.com/cubby-storage/cubby/store/storetest"
)

func keys() *crypt.Keys {
	return &crypt.Keys{Server: crypt.NewLocal(slices.Values([][32]byte{{1}})), Named: crypt.NewLocal(slices.Values([][32]byte{{2}}))}
}

func TestBucket(t *testing.T) {
	// Slow, because TestStore runs all of it on the same type.
	opts := &storetest.Options{Slow: true}
	storetest.Run(t, func(t *testing.T) store.Bucket {
		return &memstore.Bucket{Options: memstore.Options{Keys: keys(), Encrypt: true}}
	}, opts)
}

// TestVersioned has all that a bucket does happen in one that keeps versions.
func TestVersioned(t *testing.T) {
	for _, v := range []store.Versioning{store.Enabled, store.Suspended} {
		t.Run(string(v), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Bucket {
				b := &memstore.Bucket{Options: memstore.Options{Keys: keys()}}
				if err := b.SetVersioning(t.Context(), v); err != nil {
					t.Fatal(err)
				}
				return b
			}, &storetest.Options{Slow: true})
		})
	}
}

func TestStore(t *testing.T) {
	storetest.RunService(t, func(t *testing.T) store.Service { return &memstore.Store{Options: memstore.Options{Keys: keys()}} }, nil)
}

// TestNoKeys encrypts without keyrings, which only a customer's key can.
func TestNoKeys(t *testing.T) {
	b := new(memstore.Bucket)
	put := func(key string, sse store.SSE) error {
		_, err := b.Put(t.Context(), key, strings.NewReader("content"), &store.PutOptions{SSE: sse})
		return err
	}
	for _, algorithm := range []string{"AES256", "aws:kms"} {
		if err := put("k", store.SSE{Algorithm: algorithm}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s without keys: %v", algorithm, err)
		}
	}
	sse := store.SSE{CustomerKey: make([]byte, 32)}
	if err := put("k", sse); err != nil {
		t.Fatal(err)
	}
	o, err := b.Get(t.Context(), "k", &store.GetOptions{SSE: sse})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(o.Body); string(got) != "content" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestEncrypt encrypts what nobody asked to be.
func TestEncrypt(t *testing.T) {
	b := &memstore.Bucket{Options: memstore.Options{Keys: keys(), Encrypt: true}}
	info, err := b.Put(t.Context(), "k", strings.NewReader("content"), nil)
	if err != nil || info.SSE.Algorithm != "AES256" {
		t.Errorf("put without encryption: %+v, %v", info, err)
	}
}
