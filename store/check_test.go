package store_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/cubby-storage/cubby/store"
)

func TestCheckKey(t *testing.T) {
	for _, test := range []struct {
		key  string
		want error
	}{
		{"a", nil},
		{"a//b/./../", nil},
		{"\x00\n日本", nil},
		{strings.Repeat("k", store.MaxKey), nil},
		{strings.Repeat("k", store.MaxKey+1), store.ErrTooLarge},
		{strings.Repeat("é", store.MaxKey/2+1), store.ErrTooLarge},
		{"", fs.ErrInvalid},
		{"a\xff", fs.ErrInvalid},
		{"\xed\xa0\x80", fs.ErrInvalid}, // half of a surrogate pair
	} {
		if err := store.CheckKey(test.key); !errors.Is(err, test.want) {
			t.Errorf("CheckKey(%.20q) = %v, want %v", test.key, err, test.want)
		}
	}
}

func TestCheckBucketName(t *testing.T) {
	for _, name := range []string{"abc", "a-b", "a.b", "123", "1.2.3", "1.2.3.4.5", "0ab", "a--b", strings.Repeat("a", 63)} {
		if err := store.CheckBucketName(name); err != nil {
			t.Errorf("CheckBucketName(%q) = %v, want nil", name, err)
		}
	}
	for _, name := range []string{
		"", "ab", strings.Repeat("a", 64), "Abc", "a_b", "a b", "a/b", "äöü", "-ab", "ab-", ".ab", "ab.", "a..b", "10.0.0.1", "a\x00b",
	} {
		if err := store.CheckBucketName(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("CheckBucketName(%q) = %v, want fs.ErrInvalid", name, err)
		}
	}
}

func TestConditionsCheck(t *testing.T) {
	then := time.Date(2026, 3, 1, 12, 0, 0, 500e6, time.UTC)
	info := &store.Info{ETag: "e", ModTime: then}
	before, after := then.Add(-time.Second), then.Add(time.Second)
	tag, other, all := []string{"e"}, []string{"x", "y"}, []string{"*"}
	type C = store.Conditions
	for _, test := range []struct {
		name string
		cond C
		want error
	}{
		{"None", C{}, nil},
		{"IfMatch", C{IfMatch: tag}, nil},
		{"IfMatchSeveral", C{IfMatch: []string{"x", "e"}}, nil},
		{"IfMatchAny", C{IfMatch: all}, nil},
		{"IfMatchOther", C{IfMatch: other}, store.ErrPrecondition},
		{"IfNoneMatch", C{IfNoneMatch: tag}, store.ErrNotModified},
		{"IfNoneMatchAny", C{IfNoneMatch: all}, store.ErrNotModified},
		{"IfNoneMatchOther", C{IfNoneMatch: other}, nil},
		{"UnmodifiedSinceBefore", C{IfUnmodifiedSince: before}, store.ErrPrecondition},
		{"UnmodifiedSinceThen", C{IfUnmodifiedSince: then}, nil},
		{"UnmodifiedSinceSameSecond", C{IfUnmodifiedSince: then.Truncate(time.Second)}, nil},
		{"UnmodifiedSinceAfter", C{IfUnmodifiedSince: after}, nil},
		{"ModifiedSinceBefore", C{IfModifiedSince: before}, nil},
		{"ModifiedSinceThen", C{IfModifiedSince: then}, store.ErrNotModified},
		{"ModifiedSinceSameSecond", C{IfModifiedSince: then.Truncate(time.Second)}, store.ErrNotModified},
		{"ModifiedSinceAfter", C{IfModifiedSince: after}, store.ErrNotModified},
		{"IfMatchBeforeTime", C{IfMatch: tag, IfUnmodifiedSince: before}, nil},
		{"IfMatchOtherBeforeTime", C{IfMatch: other, IfUnmodifiedSince: after}, store.ErrPrecondition},
		{"IfNoneMatchBeforeTime", C{IfNoneMatch: other, IfModifiedSince: after}, nil},
		{"IfNoneMatchTagBeforeTime", C{IfNoneMatch: tag, IfModifiedSince: before}, store.ErrNotModified},
		{"BothHold", C{IfMatch: tag, IfNoneMatch: tag}, store.ErrNotModified},
		{"PreconditionFirst", C{IfMatch: other, IfNoneMatch: tag}, store.ErrPrecondition},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.cond.Check(info); err != test.want {
				t.Errorf("Check = %v, want %v", err, test.want)
			}
			if err := test.cond.Check(nil); err != fs.ErrNotExist {
				t.Errorf("Check of no object = %v, want fs.ErrNotExist", err)
			}
			want := test.want
			if want == store.ErrNotModified {
				want = store.ErrPrecondition
			}
			if err := test.cond.CheckSource(info); !errors.Is(err, want) {
				t.Errorf("CheckSource = %v, want %v", err, want)
			}
		})
	}
}

func TestCheckWrite(t *testing.T) {
	there := &store.Info{ETag: "e"}
	for _, test := range []struct {
		name                 string
		ifMatch, ifNoneMatch []string
		info                 *store.Info
		want                 error
	}{
		{"Nothing", nil, nil, there, nil},
		{"NothingThere", nil, nil, nil, nil},
		{"Match", []string{"x", "e"}, nil, there, nil},
		{"MatchAny", []string{"*"}, nil, there, nil},
		{"MatchOther", []string{"x"}, nil, there, store.ErrPrecondition},
		{"MatchNothingThere", []string{"e"}, nil, nil, fs.ErrNotExist},
		{"MatchAnyNothingThere", []string{"*"}, nil, nil, fs.ErrNotExist},
		{"New", nil, []string{"*"}, nil, nil},
		{"NotNew", nil, []string{"*"}, there, fs.ErrExist},
		{"NoneMatchTag", nil, []string{"e"}, there, errors.ErrUnsupported},
		{"NoneMatchTagNothingThere", nil, []string{"e"}, nil, errors.ErrUnsupported},
		{"BothNothingThere", []string{"*"}, []string{"*"}, nil, fs.ErrNotExist},
		{"Both", []string{"*"}, []string{"*"}, there, fs.ErrExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := store.CheckWrite(test.ifMatch, test.ifNoneMatch, test.info); !errors.Is(err, test.want) {
				t.Errorf("CheckWrite = %v, want %v", err, test.want)
			}
		})
	}
}

func TestRangeResolve(t *testing.T) {
	for _, test := range []struct {
		offset, length, size int64
		start, n             int64
		want                 error
	}{
		{0, -1, 10, 0, 10, nil},
		{0, 10, 10, 0, 10, nil},
		{0, 11, 10, 0, 10, nil},
		{3, 4, 10, 3, 4, nil},
		{9, 1, 10, 9, 1, nil},
		{9, 1 << 62, 10, 9, 1, nil},
		{-3, -1, 10, 7, 3, nil},
		{-3, 2, 10, 7, 2, nil},
		{-10, -1, 10, 0, 10, nil},
		{-11, -1, 10, 0, 10, nil},
		{-1 << 63, -1, 10, 0, 10, nil},
		{10, 1, 10, 0, 0, store.ErrRange},
		{1 << 62, -1, 10, 0, 0, store.ErrRange},
		{3, 0, 10, 0, 0, store.ErrRange},
		{0, -1, 0, 0, 0, store.ErrRange},
		{-1, -1, 0, 0, 0, store.ErrRange},
	} {
		r := &store.Range{Offset: test.offset, Length: test.length}
		start, n, err := r.Resolve(test.size)
		if start != test.start || n != test.n || err != test.want {
			t.Errorf("%v.Resolve(%d) = %d, %d, %v, want %d, %d, %v", *r, test.size, start, n, err, test.start, test.n, test.want)
		}
	}
	var whole *store.Range
	if start, n, err := whole.Resolve(0); start != 0 || n != 0 || err != nil {
		t.Errorf("no range of an empty object = %d, %d, %v, want 0, 0, nil", start, n, err)
	}
}

func TestRangeResolveWhole(t *testing.T) {
	for _, test := range []struct {
		offset, length, size int64
		want                 error
	}{
		{0, 10, 10, nil},
		{4, 6, 10, nil},
		{4, -1, 10, nil},
		{-4, -1, 10, nil},
		{-4, 4, 10, nil},
		{-10, 10, 10, nil},
		{0, 11, 10, store.ErrRange},
		{4, 7, 10, store.ErrRange},
		{4, 1<<63 - 1, 10, store.ErrRange},
		{10, 1, 10, store.ErrRange},
		{11, -1, 10, store.ErrRange},
		{-4, 5, 10, store.ErrRange},
		{-11, -1, 10, store.ErrRange},
		{-1 << 63, 1, 10, store.ErrRange},
		{4, 0, 10, store.ErrRange},
	} {
		r := &store.Range{Offset: test.offset, Length: test.length}
		start, n, err := r.ResolveWhole(test.size)
		if !errors.Is(err, test.want) {
			t.Errorf("%v.ResolveWhole(%d) = %v, want %v", *r, test.size, err, test.want)
			continue
		}
		if a, b, err := r.Resolve(test.size); test.want == nil && (a != start || b != n || err != nil) {
			t.Errorf("%v.ResolveWhole(%d) = %d, %d, want %d, %d as from Resolve", *r, test.size, start, n, a, b)
		}
	}
}

func TestKeyRangeContains(t *testing.T) {
	for _, test := range []struct {
		start, end, key string
		want            bool
	}{
		{"", "", "a", true},
		{"b", "", "a", false},
		{"b", "d", "b", true},
		{"b", "d", "c/x", true},
		{"b", "d", "d", false},
		{"b", "b", "b", false},
	} {
		if got := (store.KeyRange{Start: test.start, End: test.end}).Contains(test.key); got != test.want {
			t.Errorf("%q to %q contains %q: %v, want %v", test.start, test.end, test.key, got, test.want)
		}
	}
}

func TestError(t *testing.T) {
	err := error(&store.Error{Op: "get", Bucket: "photos", Key: "a/b", Err: store.ErrNoUpload})
	if got, want := err.Error(), "get photos a/b: upload does not exist"; got != want {
		t.Errorf("error reads %q, want %q", got, want)
	}
	if !errors.Is(err, store.ErrNoUpload) || !errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrNoBucket) {
		t.Errorf("%v is not exactly ErrNoUpload and fs.ErrNotExist", err)
	}
	for _, part := range []error{store.ErrInvalidPart, store.ErrPartOrder} {
		if !errors.Is(part, fs.ErrInvalid) {
			t.Errorf("%v is not fs.ErrInvalid", part)
		}
	}
}
