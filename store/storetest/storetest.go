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

// Options say what a driver cannot do. The zero value is one that does all but
// keep versions and encrypt.
type Options struct {
	// Slow leaves out what would take long over a network: large sizes, many
	// keys, long races.
	Slow bool

	// Versions and Encryption are for drivers that have them. How they act
	// depends on the bucket, so they are not tested then.
	Versions   bool // the Version of options
	Encryption bool // the SSE of options

	// What the driver lacks.
	NoTags          bool // tags of objects, other than none
	NoIfMatch       bool // IfMatch of writes
	NoIfNoneMatch   bool // IfNoneMatch of writes
	NoDeleteIfMatch bool // DeleteOptions.IfMatch
	NoMultipart     bool // uploads
	NoOwners        bool // owners of uploads
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
