package store_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/memstore"
)

func TestPutOptionsCheck(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	user := func(m map[string]string) *store.PutOptions {
		return &store.PutOptions{Attributes: store.Attributes{User: m}}
	}
	tags := func(m map[string]string) *store.PutOptions { return &store.PutOptions{Tags: m} }
	many := make(map[string]string)
	for _, c := range "0123456789" {
		many[string(c)] = ""
	}
	over := map[string]string{"one more": ""}
	maps.Copy(over, many)
	for name, test := range map[string]struct {
		opts *store.PutOptions
		want error
	}{
		"Nil":             {nil, nil},
		"Zero":            {new(store.PutOptions), nil},
		"LargeUser":       {user(map[string]string{"a": long(store.MaxUserMeta - 1)}), nil},
		"TooLargeUser":    {user(map[string]string{"a": long(store.MaxUserMeta)}), store.ErrTooLarge},
		"EmptyName":       {user(map[string]string{"": "x"}), fs.ErrInvalid},
		"UpperName":       {user(map[string]string{"Abc": "x"}), fs.ErrInvalid},
		"Tags":            {tags(many), nil},
		"TooManyTags":     {tags(over), store.ErrTooLarge},
		"LongTag":         {tags(map[string]string{strings.Repeat("é", store.MaxTagKey): strings.Repeat("é", store.MaxTagValue)}), nil},
		"TooLongTagKey":   {tags(map[string]string{long(store.MaxTagKey + 1): ""}), store.ErrTooLarge},
		"TooLongTagValue": {tags(map[string]string{"a": long(store.MaxTagValue + 1)}), store.ErrTooLarge},
		"EmptyTagKey":     {tags(map[string]string{"": ""}), fs.ErrInvalid},
		"TagKeyNotUTF8":   {tags(map[string]string{"\xff": ""}), fs.ErrInvalid},
		"TagValueNotUTF8": {tags(map[string]string{"a": "\xff"}), fs.ErrInvalid},
		"Algorithm":       {&store.PutOptions{Algorithm: store.SHA1}, nil},
		"OtherAlgorithm":  {&store.PutOptions{Algorithm: "ROT13"}, fs.ErrInvalid},
		"Large":           {&store.PutOptions{Size: store.MaxPartSize}, nil},
		"TooLarge":        {&store.PutOptions{Size: store.MaxPartSize + 1}, store.ErrTooLarge},
	} {
		if err := test.opts.Check(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestPutOptionsContent(t *testing.T) {
	var none *store.PutOptions
	if got := none.Content(); got.Size != 0 || got.Algorithm != "" {
		t.Errorf("content of no options is %+v", got)
	}
	o := &store.PutOptions{Size: 5, MD5: []byte("md5"), Checksums: sums(store.CRC32, "x"), Algorithm: store.CRC32, SSE: store.SSE{KMSKeyID: "k"}}
	got := o.Content()
	if got.Size != 5 || string(got.MD5) != "md5" || got.Checksums != o.Checksums || got.Algorithm != store.CRC32 || got.SSE.KMSKeyID != "k" {
		t.Errorf("content of %+v is %+v", o, got)
	}
}

func TestCheckPlain(t *testing.T) {
	if err := store.CheckPlain("", store.SSE{}); err != nil {
		t.Errorf("nothing asked for: %v, want nil", err)
	}
	if err := store.CheckPlain("v1", store.SSE{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("version: %v, want ErrUnsupported", err)
	}
	for _, sse := range []store.SSE{{Algorithm: "AES256"}, {KMSKeyID: "k"}, {CustomerKey: []byte{}}} {
		if err := store.CheckPlain("", sse); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%+v: %v, want ErrUnsupported", sse, err)
		}
	}
}

func TestGetOptionsResolve(t *testing.T) {
	parts := []int64{5, 0, 3}
	type O = store.GetOptions
	for _, test := range []struct {
		name           string
		opts           *O
		parts          []int64
		offset, length int64
		want           error
	}{
		{"Nil", nil, parts, 0, 8, nil},
		{"Whole", &O{}, parts, 0, 8, nil},
		{"Range", &O{Range: &store.Range{Offset: 4, Length: 2}}, parts, 4, 2, nil},
		{"RangeOutside", &O{Range: &store.Range{Offset: 8, Length: 1}}, parts, 0, 0, store.ErrRange},
		{"First", &O{Part: 1}, parts, 0, 5, nil},
		{"Empty", &O{Part: 2}, parts, 5, 0, nil},
		{"Last", &O{Part: 3}, parts, 5, 3, nil},
		{"TooHigh", &O{Part: 4}, parts, 0, 0, store.ErrRange},
		{"FirstOfWhole", &O{Part: 1}, nil, 0, 8, nil},
		{"SecondOfWhole", &O{Part: 2}, nil, 0, 0, store.ErrRange},
		{"Negative", &O{Part: -1}, parts, 0, 0, fs.ErrInvalid},
		{"PartAndRange", &O{Part: 1, Range: &store.Range{Length: 1}}, parts, 0, 0, fs.ErrInvalid},
	} {
		offset, length, err := test.opts.Resolve(8, test.parts)
		if offset != test.offset || length != test.length || !errors.Is(err, test.want) {
			t.Errorf("%s: %d, %d, %v, want %d, %d, %v", test.name, offset, length, err, test.offset, test.length, test.want)
		}
	}
}

func TestNewUpload(t *testing.T) {
	full, composite := store.Checksums{Type: store.FullObject}, store.Checksums{Type: store.Composite}
	value := sums(store.SHA256, "any")
	type O = store.PutOptions
	for name, test := range map[string]struct {
		opts *O
		a    store.Algorithm
		typ  store.ChecksumType
		want error
	}{
		"Nil":           {nil, "", "", nil},
		"Default":       {&O{Algorithm: store.CRC32}, store.CRC32, store.Composite, nil},
		"Full":          {&O{Algorithm: store.CRC32, Checksums: full}, store.CRC32, store.FullObject, nil},
		"OnlyFull":      {&O{Algorithm: store.CRC64NVME}, store.CRC64NVME, store.FullObject, nil},
		"FromValue":     {&O{Checksums: value}, store.SHA256, store.Composite, nil},
		"NoFullSHA":     {&O{Algorithm: store.SHA1, Checksums: full}, "", "", fs.ErrInvalid},
		"NoComposite":   {&O{Algorithm: store.CRC64NVME, Checksums: composite}, "", "", fs.ErrInvalid},
		"TypeAlone":     {&O{Checksums: full}, "", "", fs.ErrInvalid},
		"Unknown":       {&O{Algorithm: "ROT13"}, "", "", fs.ErrInvalid},
		"TooMuchOfUser": {&O{Attributes: store.Attributes{User: map[string]string{"a": strings.Repeat("x", 4096)}}}, "", "", store.ErrTooLarge},
	} {
		u, err := store.NewUpload("k", test.opts)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
			continue
		}
		if err == nil && (u.Key != "k" || u.Algorithm != test.a || u.Type != test.typ) {
			t.Errorf("%s: %+v, want k, %q, %q", name, u, test.a, test.typ)
		}
	}
	if _, err := store.NewUpload("", nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("empty key: %v, want fs.ErrInvalid", err)
	}
}

func TestUpload(t *testing.T) {
	u := &store.Upload{Key: "k", ID: "1", Owner: "ann", Algorithm: store.SHA1}
	for _, test := range []struct {
		u          *store.Upload
		key, owner string
		want       error
	}{
		{u, "k", "", nil},
		{u, "k", "ann", nil},
		{u, "k", "bob", store.ErrNoUpload},
		{u, "other", "", store.ErrNoUpload},
		{nil, "k", "", store.ErrNoUpload},
	} {
		if err := test.u.Check(test.key, store.UploadOptions{Owner: test.owner}); err != test.want {
			t.Errorf("Check(%q, %q) = %v, want %v", test.key, test.owner, err, test.want)
		}
	}
	for _, n := range []int{-1, 0, store.MaxParts + 1} {
		if _, err := u.Content(n, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("part %d: %v, want fs.ErrInvalid", n, err)
		}
	}
	opts := &store.PartOptions{Size: 5}
	got, err := u.Content(store.MaxParts, opts)
	if err != nil || got.Algorithm != store.SHA1 || got.Size != 5 || opts.Algorithm != "" {
		t.Errorf("content of a part: %+v, %v, want SHA1 and size 5, and %+v unchanged", got, err, opts)
	}
	if _, err := u.Content(1, &store.PartOptions{Algorithm: store.CRC32}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("part with another algorithm: %v, want fs.ErrInvalid", err)
	}
	u.Algorithm = ""
	if got, err := u.Content(1, &store.PartOptions{Algorithm: store.CRC32}); err != nil || got.Algorithm != store.CRC32 {
		t.Errorf("part with an algorithm of its own: %+v, %v, want CRC32", got, err)
	}
}

func TestAssemble(t *testing.T) {
	// Parts of any size can be had without their bytes.
	part := func(n int, size int64) store.Part {
		return store.Part{Number: n, Size: size, ETag: strings.Repeat("0", 31) + string(rune('0'+n)), Checksums: sums(store.CRC32, "AAAAAA==")}
	}
	stored := []store.Part{part(1, store.MinPartSize), part(2, store.MinPartSize), part(4, 10), part(5, 0), part(6, store.MaxSize)}
	p1, p2, p4, p5, p6 := stored[0], stored[1], stored[2], stored[3], stored[4]
	otherTag, otherSum := p2, p2
	otherTag.ETag, otherSum.Checksums = p1.ETag, sums(store.CRC32, "AAAAAQ==")
	u := &store.Upload{Key: "k"}
	type O = store.CompleteOptions
	for name, test := range map[string]struct {
		named []store.Part
		opts  *O
		size  int64
		want  error
	}{
		"One":           {[]store.Part{p4}, nil, 10, nil},
		"Empty":         {[]store.Part{p5}, nil, 0, nil},
		"Several":       {[]store.Part{p1, p2, p4}, nil, 2*store.MinPartSize + 10, nil},
		"ByNumber":      {[]store.Part{{Number: 2}, {Number: 5}}, nil, store.MinPartSize, nil},
		"Size":          {[]store.Part{p1, p4}, &O{Size: store.MinPartSize + 10}, store.MinPartSize + 10, nil},
		"OtherSize":     {[]store.Part{p1, p4}, &O{Size: store.MinPartSize}, 0, store.ErrIncomplete},
		"None":          {nil, nil, 0, fs.ErrInvalid},
		"Missing":       {[]store.Part{p1, {Number: 3}}, nil, 0, store.ErrInvalidPart},
		"OtherTag":      {[]store.Part{p1, otherTag}, nil, 0, store.ErrInvalidPart},
		"OtherChecksum": {[]store.Part{p1, otherSum}, nil, 0, store.ErrInvalidPart},
		"Descending":    {[]store.Part{p2, p1}, nil, 0, store.ErrPartOrder},
		"Twice":         {[]store.Part{p1, p1}, nil, 0, store.ErrPartOrder},
		"TooSmall":      {[]store.Part{p1, p4, p5}, nil, 0, store.ErrPartTooSmall},
		"TooLarge":      {[]store.Part{p1, p6}, nil, 0, store.ErrTooLarge},
		"NoChecksum":    {[]store.Part{p1}, &O{Checksums: sums(store.CRC32, "AAAAAA==")}, 0, fs.ErrInvalid},
		"NoType":        {[]store.Part{p1}, &O{Checksums: store.Checksums{Type: store.FullObject}}, 0, fs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			info, parts, err := store.Assemble(u, stored, test.named, test.opts)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if err != nil {
				return
			}
			etag, _ := store.MultipartETag(parts)
			if info.Key != "k" || info.Size != test.size || info.Parts != len(test.named) || info.ETag != etag || info.Checksums != (store.Checksums{}) {
				t.Errorf("object is %+v, want k, %d bytes, %d parts, tag %s, no checksums", info, test.size, len(test.named), etag)
			}
			same := func(a, b store.Part) bool { return a.Number == b.Number }
			if !slices.EqualFunc(parts, test.named, same) {
				t.Errorf("parts are %v, want %v", parts, test.named)
			}
		})
	}
}

func TestAssembleChecksums(t *testing.T) {
	content := strings.Repeat("x", store.MinPartSize) + "end"
	for _, a := range store.Algorithms() {
		parts := cut(a, content, store.MinPartSize)
		for i := range parts {
			parts[i].ETag = strings.Repeat("0", 32)
		}
		for _, typ := range []store.ChecksumType{store.FullObject, store.Composite} {
			if a.CheckType(typ) != nil {
				continue
			}
			u := &store.Upload{Key: "k", Algorithm: a, Type: typ}
			right, short := sum(a, content), sum(a, content)
			if typ == store.Composite {
				right, _ = store.CompositeChecksum(a, parts)
				short = strings.TrimSuffix(right, "-2")
			}
			for given, want := range map[string]error{"": nil, right: nil, short: nil, sum(a, "other"): store.ErrDigest, "?": store.ErrDigest} {
				opts := &store.CompleteOptions{Checksums: sums(a, given)}
				opts.Checksums.Type = typ
				info, _, err := store.Assemble(u, parts, parts, opts)
				if !errors.Is(err, want) {
					t.Errorf("%s %s, given %q: error %v, want %v", a, typ, given, err, want)
				}
				if err == nil && (info.Checksums.Get(a) != right || info.Checksums.Type != typ) {
					t.Errorf("%s %s, given %q: checksums %+v, want %q", a, typ, given, info.Checksums, right)
				}
			}
			stripped := slices.Clone(parts)
			stripped[0].Checksums = store.Checksums{}
			if _, _, err := store.Assemble(u, stripped, []store.Part{{Number: 1}, {Number: 2}}, nil); !errors.Is(err, store.ErrInvalidPart) {
				t.Errorf("%s %s, part without checksum: %v, want ErrInvalidPart", a, typ, err)
			}
		}
	}
}

func TestContextReader(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := store.ContextReader(ctx, strings.NewReader("content"))
	b := make([]byte, 4)
	if n, err := r.Read(b); n != 4 || err != nil {
		t.Errorf("Read = %d, %v, want 4, nil", n, err)
	}
	cancel()
	if n, err := r.Read(b); n != 0 || err != context.Canceled {
		t.Errorf("Read after cancel = %d, %v, want 0, context.Canceled", n, err)
	}
}

// TestCopyThrough looks at what only CopyThrough decides; that it is a right
// Copy is shown by storetest.
func TestCopyThrough(t *testing.T) {
	ctx := t.Context()
	from, to := new(memstore.Bucket), new(memstore.Bucket)
	if _, err := from.Put(ctx, "src", strings.NewReader("content"), &store.PutOptions{Algorithm: store.SHA1}); err != nil {
		t.Fatal(err)
	}
	info, err := store.CopyThrough(ctx, to, "dst", "src", &store.CopyOptions{From: from})
	if err != nil || info.Checksums.Get(store.SHA1) != sum(store.SHA1, "content") {
		t.Errorf("copy: %+v, %v, want the SHA1 of the source", info, err)
	}
	_, err = store.CopyThrough(ctx, to, "dst2", "src", &store.CopyOptions{From: flipped{from}})
	if !errors.Is(err, store.ErrDigest) {
		t.Errorf("copy from a bucket that returns other content: %v, want ErrDigest", err)
	}
	if _, err := to.Stat(ctx, "dst2", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of a copy that failed: %v, want fs.ErrNotExist", err)
	}
	_, err = store.CopyThrough(ctx, to, "dst2", "src", &store.CopyOptions{From: vast{from}})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("copy of a vast object: %v, want ErrTooLarge", err)
	}
}

// flipped is a bucket with an error on its medium.
type flipped struct{ store.Bucket }

func (f flipped) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := f.Bucket.Get(ctx, key, opts)
	if err == nil {
		o.Body = io.NopCloser(strings.NewReader(strings.Repeat("?", int(o.Size))))
	}
	return o, err
}

// vast is a bucket whose objects are over MaxPartSize.
type vast struct{ store.Bucket }

func (v vast) Get(ctx context.Context, key string, opts *store.GetOptions) (*store.Object, error) {
	o, err := v.Bucket.Get(ctx, key, opts)
	if err == nil {
		o.Size = store.MaxPartSize + 1
	}
	return o, err
}
