package storetest

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/store"
)

// foreign hides what kind of bucket it holds.
type foreign struct{ store.Bucket }

func testCopy(e *env) {
	for _, content := range []string{"", "content", big()[:150<<10]} {
		opts := &store.PutOptions{Attributes: attributes()}
		if !e.opts.NoTags {
			opts.Tags = map[string]string{"kind": "test"}
		}
		e.put("src", content, opts)
		other := e.another()
		other.put("theirs", content, opts)
		for name, from := range map[string]struct {
			src    string
			bucket store.Bucket
		}{
			"OwnBucket":     {"src", nil},
			"OwnByFrom":     {"src", e.b},
			"AnotherBucket": {"theirs", other.b},
			"ForeignBucket": {"theirs", foreign{other.b}},
		} {
			e.put("dst", "what was there", nil)
			info, err := e.b.Copy(e.Context(), "dst", from.src, &store.CopyOptions{From: from.bucket})
			if err != nil {
				e.Errorf("%s: copy: %v", name, err)
				continue
			}
			e.holds("dst", content)
			stat := e.stat("dst")
			if info.Key != "dst" || info.ETag != stat.ETag || stat.ETag == "" {
				e.Errorf("%s: copy returns key %q and entity tag %q, want dst and that of Stat, %q", name, info.Key, info.ETag, stat.ETag)
			}
			e.hasAttributes(stat, attributes())
			if !e.opts.NoTags {
				e.wantTags("dst", opts.Tags)
			}
		}
		// The copy is on its own.
		e.put("src", "other content", nil)
		other.delete("theirs")
		e.holds("dst", content)
		e.delete("dst")
		e.holds("src", "other content")
	}
	_, err := e.b.Copy(e.Context(), "dst", "missing", nil)
	e.fails(err, fs.ErrNotExist, "copy of a missing key")
	_, err = e.b.Copy(e.Context(), "dst", "missing", &store.CopyOptions{From: foreign{e.another().b}})
	e.fails(err, fs.ErrNotExist, "copy of a missing key of a foreign bucket")
	e.missing("dst")
}

func testCopyReplace(e *env) {
	replaced := store.Attributes{ContentType: "image/png", User: map[string]string{"new": "yes"}}
	oldTags, newTags := map[string]string{"old": "1"}, map[string]string{"new": "1"}
	if e.opts.NoTags {
		oldTags, newTags = nil, nil
	}
	other := e.another()
	for name, from := range map[string]store.Bucket{"own": nil, "foreign": foreign{other.b}} {
		for _, dst := range []string{"src", "dst"} { // onto itself, too
			put := &store.PutOptions{Attributes: attributes(), Tags: oldTags}
			e.put("src", "content", put)
			other.put("src", "content", put)
			copyWith := func(opts store.CopyOptions) {
				e.Helper()
				opts.From = from
				opts.Put.Attributes, opts.Put.Tags = replaced, newTags
				_, err := e.b.Copy(e.Context(), dst, "src", &opts)
				e.succeeds(err, name+" copy to "+dst)
				e.holds(dst, "content")
			}
			if dst != "src" {
				copyWith(store.CopyOptions{})
				e.hasAttributes(e.stat(dst), attributes())
			}
			copyWith(store.CopyOptions{Replace: true})
			e.hasAttributes(e.stat(dst), replaced)
			if e.opts.NoTags {
				continue
			}
			e.wantTags(dst, oldTags)
			copyWith(store.CopyOptions{Replace: true, ReplaceTags: true})
			e.hasAttributes(e.stat(dst), replaced)
			e.wantTags(dst, newTags)
			if dst != "src" {
				copyWith(store.CopyOptions{ReplaceTags: true})
				e.hasAttributes(e.stat(dst), attributes())
				e.wantTags(dst, newTags)
			}
		}
	}
}

func testCopyConditions(e *env) {
	other := e.another()
	e.put("src", "content", nil)
	other.put("src", "content", nil)
	type C = store.Conditions
	for name, from := range map[string]*env{"own": e, "foreign": other} {
		src := from.stat("src")
		sec := src.ModTime.Truncate(time.Second)
		for _, test := range []struct {
			name string
			cond C
			want error
		}{
			{"IfMatch", C{IfMatch: []string{src.ETag}}, nil},
			{"IfMatchOther", C{IfMatch: []string{"other"}}, store.ErrPrecondition},
			{"IfNoneMatch", C{IfNoneMatch: []string{src.ETag}}, store.ErrPrecondition},
			{"IfNoneMatchOther", C{IfNoneMatch: []string{"other"}}, nil},
			{"ModifiedSinceBefore", C{IfModifiedSince: sec.Add(-2 * time.Second)}, nil},
			{"ModifiedSinceThen", C{IfModifiedSince: sec}, store.ErrPrecondition},
			{"UnmodifiedSinceBefore", C{IfUnmodifiedSince: sec.Add(-2 * time.Second)}, store.ErrPrecondition},
			{"UnmodifiedSinceThen", C{IfUnmodifiedSince: sec}, nil},
		} {
			opts := &store.CopyOptions{Source: test.cond}
			if from != e {
				opts.From = foreign{other.b}
			}
			_, err := e.b.Copy(e.Context(), "dst", "src", opts)
			e.result(err, test.want, name+" copy, source "+test.name)
			if test.want != nil {
				e.missing("dst")
				continue
			}
			e.delete("dst")
		}
		opts := store.CopyOptions{}
		if from != e {
			opts.From = foreign{other.b}
		}
		copyTo := func(put store.PutOptions) error {
			opts.Put = put
			_, err := e.b.Copy(e.Context(), "dst", "src", &opts)
			return err
		}
		if !e.opts.NoIfNoneMatch {
			e.succeeds(copyTo(store.PutOptions{IfNoneMatch: []string{"*"}}), name+" copy to a new key with IfNoneMatch *")
			before := e.stat("dst")
			e.fails(copyTo(store.PutOptions{IfNoneMatch: []string{"*"}}), fs.ErrExist, name+" copy over an object with IfNoneMatch *")
			e.unchanged(before, "content")
			e.delete("dst")
		}
		if !e.opts.NoIfMatch {
			e.fails(copyTo(store.PutOptions{IfMatch: []string{"*"}}), fs.ErrNotExist, name+" copy to a new key with IfMatch *")
			e.missing("dst")
			there := e.put("dst", "what was there", nil)
			e.fails(copyTo(store.PutOptions{IfMatch: []string{"other"}}), store.ErrPrecondition, name+" copy with IfMatch of another object")
			e.holds("dst", "what was there")
			e.succeeds(copyTo(store.PutOptions{IfMatch: []string{there.ETag}}), name+" copy with IfMatch")
			e.holds("dst", "content")
			e.delete("dst")
		}
	}
}

// testCopyChecksums asks for a checksum that the source may not have.
func testCopyChecksums(e *env) {
	other := e.another()
	content := big()[:70<<10]
	e.put("src", content, nil)
	other.put("src", content, nil)
	for _, a := range e.algorithms() {
		for name, from := range map[string]store.Bucket{"own": nil, "foreign": foreign{other.b}} {
			opts := &store.CopyOptions{From: from, Put: store.PutOptions{Algorithm: a}}
			_, err := e.b.Copy(e.Context(), "dst", "src", opts)
			e.succeeds(err, name+" copy with "+string(a))
			e.holds("dst", content)
			if got, want := e.stat("dst").Checksums.Get(a), sum(a, content); got != want {
				e.Errorf("%s copy with %s has checksum %q, want %q", name, a, got, want)
			}
		}
	}
}

// testUnsupported asks for what the driver lacks: nothing may change.
func testUnsupported(e *env) {
	ctx := e.Context()
	e.put("k", "content", nil)
	before := e.stat("k")
	no := func(err error, what string) {
		e.Helper()
		e.fails(err, errors.ErrUnsupported, what)
	}
	put := func(opts *store.PutOptions, what string) {
		e.Helper()
		for _, key := range []string{"k", "new"} {
			_, err := e.b.Put(ctx, key, strings.NewReader("x"), opts)
			no(err, "put with "+what)
			_, err = e.b.Copy(ctx, key, "k", &store.CopyOptions{Replace: true, ReplaceTags: true, Put: *opts})
			no(err, "copy with "+what)
		}
	}
	if e.opts.NoVersions {
		no(e.b.SetVersioning(ctx, store.Enabled), "set versioning")
		_, err := e.b.ListVersions(ctx, nil)
		no(err, "list versions")
		e.wantVersioning(store.Unversioned)
		if !e.opts.Versions {
			e.unsupportedVersions(no)
		}
	}
	if e.opts.NoSSE {
		for what, sse := range map[string]store.SSE{
			"AES256":         {Algorithm: "AES256"},
			"a KMS key":      {Algorithm: "aws:kms", KMSKeyID: "key"},
			"a customer key": {CustomerKey: make([]byte, 32)},
		} {
			put(&store.PutOptions{SSE: sse}, what)
			if !e.opts.NoMultipart {
				_, err := e.b.CreateUpload(ctx, "new", &store.PutOptions{SSE: sse})
				no(err, "create upload with "+what)
			}
		}
		sse := store.SSE{CustomerKey: make([]byte, 32)}
		_, err := e.b.Get(ctx, "k", &store.GetOptions{SSE: sse})
		no(err, "get with a customer key")
		_, err = e.b.Stat(ctx, "k", &store.GetOptions{SSE: sse})
		no(err, "stat with a customer key")
	}
	if e.opts.NoTags {
		put(&store.PutOptions{Tags: map[string]string{"a": "b"}}, "tags")
		no(e.b.SetTags(ctx, "k", map[string]string{"a": "b"}, nil), "set tags")
	}
	if e.opts.NoIfMatch {
		put(&store.PutOptions{IfMatch: []string{before.ETag}}, "IfMatch")
	}
	if e.opts.NoIfNoneMatch {
		put(&store.PutOptions{IfNoneMatch: []string{"*"}}, "IfNoneMatch")
	}
	if e.opts.NoDeleteIfMatch {
		no(e.remove(ctx, "k", &store.DeleteOptions{IfMatch: []string{before.ETag}}), "delete with IfMatch")
	}
	for _, a := range store.Algorithms() {
		if !e.knows(a) {
			put(&store.PutOptions{Algorithm: a}, string(a))
		}
	}
	if e.opts.NoMultipart {
		_, err := e.b.CreateUpload(ctx, "new", nil)
		no(err, "create upload")
		_, err = e.b.ListUploads(ctx, nil)
		no(err, "list uploads")
		_, err = e.b.PutPart(ctx, "new", "id", 1, strings.NewReader("x"), nil)
		no(err, "put part")
		_, err = e.b.CompleteUpload(ctx, "new", "id", []store.Part{{Number: 1}}, nil)
		no(err, "complete upload")
		no(e.b.AbortUpload(ctx, "new", "id", nil), "abort upload")
	} else {
		if e.opts.NoOwners {
			_, err := e.b.CreateUpload(ctx, "new", &store.PutOptions{Owner: "ann"})
			no(err, "create upload with an owner")
		}
		u := e.createUpload("k", nil)
		part := e.putPart(u, 1, "x")
		if e.opts.NoIfMatch {
			_, err := e.b.CompleteUpload(ctx, "k", u.ID, []store.Part{part}, &store.CompleteOptions{IfMatch: []string{"*"}})
			no(err, "complete upload with IfMatch")
		}
		if e.opts.NoIfNoneMatch {
			_, err := e.b.CompleteUpload(ctx, "k", u.ID, []store.Part{part}, &store.CompleteOptions{IfNoneMatch: []string{"*"}})
			no(err, "complete upload with IfNoneMatch")
		}
		e.wantUploads(u)
		e.wantParts(u, part)
	}
	e.unchanged(before, "content")
	e.wantKeys([]string{"k"})
}

func (e *env) unsupportedVersions(no func(err error, what string)) {
	e.Helper()
	ctx := e.Context()
	opts := &store.GetOptions{Version: "v1"}
	_, err := e.b.Stat(ctx, "k", opts)
	no(err, "stat of a version")
	_, err = e.b.Get(ctx, "k", opts)
	no(err, "get of a version")
	no(e.remove(ctx, "k", &store.DeleteOptions{Version: "v1"}), "delete of a version")
	_, err = e.b.Copy(ctx, "new", "k", &store.CopyOptions{Version: "v1"})
	no(err, "copy of a version")
	if !e.opts.NoTags {
		_, err = e.b.Tags(ctx, "k", opts)
		no(err, "tags of a version")
		no(e.b.SetTags(ctx, "k", map[string]string{"a": "b"}, opts), "set tags of a version")
	}
	if !e.opts.NoMultipart {
		u := e.createUpload("new", nil)
		_, err = e.b.CopyPart(ctx, u.Key, u.ID, 1, "k", &store.CopyPartOptions{Version: "v1"})
		no(err, "copy part of a version")
		e.wantParts(u)
		e.abort(u)
	}
}
