// Package storetest proves that a driver or a wrapper is a [store.Bucket] or a
// [store.Service] in all that package store promises.
//
//	func TestBucket(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Bucket { return open(t) }, nil)
//	}
//
// A driver that cannot do everything says so in [Options]. What it lacks must
// then fail with errors.ErrUnsupported and change nothing, which is tested too.
package storetest

import (
	"testing"

	"github.com/cubby-storage/cubby/store"
)

// Options say what a driver cannot do. The zero value is one that does all.
// To encrypt, its buckets must have keys for AES256 and a default key
// for aws:kms, and none called "no such key".
type Options struct {
	// Slow leaves out what would take long over a network: large sizes, many
	// keys, long races.
	Slow bool

	// LikeS3 is for a driver over a service that does some things as S3 does:
	// an upload that is completed again with the same parts succeeds again, a
	// bucket that holds uploads alone is empty, who writes a null version is not told
	// its id, and nothing is told of the versions in a list of objects, of the delete
	// marker that hides the source of a copy, and of the customer's key of an upload
	// that is completed.
	LikeS3 bool

	// Versions is for drivers that have NoVersions and yet look at the Version of
	// options: how they act depends on the bucket, so it is not tested then.
	Versions bool

	// What the driver lacks.
	NoTags          bool // tags of objects, other than none
	NoIfMatch       bool // IfMatch of writes
	NoIfNoneMatch   bool // IfNoneMatch of writes
	NoDeleteIfMatch bool // DeleteOptions.IfMatch
	NoMultipart     bool // uploads
	NoOwners        bool // owners of uploads
	NoVersions      bool // versions of objects: Versioning, SetVersioning, ListVersions, and Version of options
	NoSSE           bool // encryption
	NoDotKeys       bool // keys with a segment "." or "..", which are then fs.ErrInvalid

	// Algorithms are the checksums that the driver knows; nil stands for all.
	Algorithms []store.Algorithm
}

// Run tests the buckets that open returns. It is called at least once for each
// sub-test, and each bucket must be empty. What open needs to clean up it hands
// to t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Bucket, opts *Options) {
	t.Helper()
	run(t, open, opts, bucketTests)
}

// RunService tests the services that open returns, as Run does, and Run's tests
// on a bucket of one.
func RunService(t *testing.T, open func(t *testing.T) store.Service, opts *Options) {
	t.Helper()
	if opts == nil {
		opts = new(Options)
	}
	for _, test := range serviceTests {
		t.Run(test.name, func(t *testing.T) { test.run(newServiceEnv(t, open(t), opts)) })
	}
	Run(t, func(t *testing.T) store.Bucket {
		t.Helper()
		svc := open(t)
		if err := svc.CreateBucket(t.Context(), "storetest"); err != nil {
			t.Fatalf("create bucket: %v", err)
		}
		b, err := svc.Bucket(t.Context(), "storetest")
		if err != nil {
			t.Fatalf("open bucket: %v", err)
		}
		return b
	}, opts)
}

type bucketTest struct {
	name string
	run  func(e *env)
}

func run(t *testing.T, open func(t *testing.T) store.Bucket, opts *Options, tests []bucketTest) {
	t.Helper()
	if opts == nil {
		opts = new(Options)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(&env{T: t, b: open(t), open: open, opts: opts})
		})
	}
}
