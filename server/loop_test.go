package server

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/internal/s3api"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
	"github.com/cubby-storage/cubby/store/diskstore"
	"github.com/cubby-storage/cubby/store/memstore"
	"github.com/cubby-storage/cubby/store/s3store"
	"github.com/cubby-storage/cubby/store/storetest"
)

// TestLoop is the conformance suite of buckets, run through everything: s3store,
// HTTP, the signature, the S3 protocol, the gate, and a store.
func TestLoop(t *testing.T) {
	w := newWorld(t, nil)
	keys := func() *crypt.Keys {
		return &crypt.Keys{Server: crypt.NewLocal(slices.Values([][32]byte{{1}})), Named: crypt.NewLocal(slices.Values([][32]byte{{2}}))}
	}
	opts := &storetest.Options{NoDotKeys: true, NoOwners: true, Slow: true, LikeS3: true}
	t.Run("memstore", func(t *testing.T) {
		t.Parallel()
		storetest.RunService(t, func(t *testing.T) store.Service {
			return w.reach(t, &memstore.Store{Options: memstore.Options{Keys: keys()}})
		}, opts)
	})
	t.Run("diskstore", func(t *testing.T) {
		t.Parallel()
		disk, err := diskstore.Open(filepath.Join(t.TempDir(), "objects"), &diskstore.Options{NoSync: true, Keys: keys()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := disk.Close(); err != nil {
				t.Error(err)
			}
		})
		svc, n := w.reach(t, disk), 0
		storetest.Run(t, func(t *testing.T) store.Bucket {
			n++
			name := fmt.Sprintf("bucket-%d", n)
			if err := svc.CreateBucket(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			b, err := svc.Bucket(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}, opts)
	})
}

// reach returns svc as the operator reaches it over HTTP.
func (w *world) reach(t *testing.T, svc store.Service) store.Service {
	t.Helper()
	ts := httptest.NewServer(s3api.New(gate.New(svc, nil, nil), &s3api.Options{
		Authenticate: w.srv.authenticate,
		OnError:      func(_ context.Context, _ string, err error) { t.Logf("a fault of the server: %v", err) },
	}))
	t.Cleanup(ts.Close)
	s, err := s3store.NewService(s3store.Config{
		Endpoint: ts.URL, PathStyle: true, HTTPClient: client,
		Credentials: s3store.Static(w.operator.keys.AccessKeyID, w.operator.keys.SecretAccessKey, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
