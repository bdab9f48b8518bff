package store_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cubby-storage/cubby/store"
)

// sum returns the checksum of content by a.
func sum(a store.Algorithm, content string) string {
	h := a.New()
	io.WriteString(h, content)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func sums(a store.Algorithm, value string) store.Checksums {
	var c store.Checksums
	c.Set(a, value)
	return c
}

// digest reads content as a driver does.
func digest(r io.Reader, opts *store.PartOptions) (int64, string, store.Checksums, error) {
	d, err := store.NewDigester(r, opts)
	if err != nil {
		return 0, "", store.Checksums{}, err
	}
	if _, err := io.Copy(io.Discard, d); err != nil {
		return 0, "", store.Checksums{}, err
	}
	return d.Sum()
}

func TestAlgorithms(t *testing.T) {
	// The check values of the catalogue of CRCs, and of sha1sum and sha256sum, in base64.
	for a, want := range map[store.Algorithm]string{
		store.CRC32:     "y/Q5Jg==",
		store.CRC32C:    "4waSgw==",
		store.CRC64NVME: "rosUhgp5mIg=",
		store.SHA1:      "98O8HYCOBHMq32eZZczDTKeuNEE=",
		store.SHA256:    "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
	} {
		got := sum(a, "123456789")
		if got != want {
			t.Errorf("%s of the check string is %s, want %s", a, got, want)
		}
	}
	if store.Algorithm("ROT13").New() != nil {
		t.Error("an unknown algorithm has a hash")
	}
}

func TestChecksums(t *testing.T) {
	var c store.Checksums
	if a := c.Any(); a != "" {
		t.Errorf("no checksums have %q, want none", a)
	}
	for _, a := range store.Algorithms() {
		c.Set(a, "value of "+string(a))
	}
	for _, a := range store.Algorithms() {
		if got, want := c.Get(a), "value of "+string(a); got != want {
			t.Errorf("Get(%s) = %q, want %q", a, got, want)
		}
		one := sums(a, "x")
		if got := one.Any(); got != a {
			t.Errorf("Any of %s alone is %q", a, got)
		}
	}
	c.Set("ROT13", "x")
	if got := c.Get("ROT13"); got != "" {
		t.Errorf("Get of an unknown algorithm = %q, want nothing", got)
	}
}

func TestCheckType(t *testing.T) {
	full := []store.Algorithm{store.CRC32, store.CRC32C, store.CRC64NVME}
	composite := []store.Algorithm{store.CRC32, store.CRC32C, store.SHA1, store.SHA256}
	for typ, known := range map[store.ChecksumType][]store.Algorithm{store.FullObject: full, store.Composite: composite, "OTHER": nil} {
		for _, a := range append(store.Algorithms(), "ROT13") {
			want := false
			for _, k := range known {
				want = want || a == k
			}
			if err := a.CheckType(typ); (err == nil) != want || err != nil && !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%s.CheckType(%s) = %v, want allowed: %v", a, typ, err, want)
			}
		}
	}
	for _, a := range store.Algorithms() {
		if err := a.CheckType(a.DefaultType()); err != nil {
			t.Errorf("default type of %s: %v", a, err)
		}
	}
}

func TestDigester(t *testing.T) {
	const content = "some content"
	md := md5.Sum([]byte(content))
	n, etag, got, err := digest(strings.NewReader(content), nil)
	if n != 12 || etag != hex.EncodeToString(md[:]) || got != (store.Checksums{}) || err != nil {
		t.Errorf("without options: %d, %s, %v, %v, want 12, %x, no checksums, nil", n, etag, got, err, md)
	}
	late := func(c store.Checksums) func() (store.Checksums, error) {
		return func() (store.Checksums, error) { return c, nil }
	}
	type O = store.PartOptions
	for _, a := range store.Algorithms() {
		right, wrong := sums(a, sum(a, content)), sums(a, sum(a, "other"))
		for name, test := range map[string]struct {
			opts O
			want error
		}{
			"Algorithm":          {O{Algorithm: a}, nil},
			"Value":              {O{Checksums: right}, nil},
			"Trailer":            {O{Algorithm: a, Trailer: late(right)}, nil},
			"EmptyTrailer":       {O{Algorithm: a, Trailer: late(store.Checksums{})}, nil},
			"MD5AndSize":         {O{Algorithm: a, MD5: md[:], Size: 12}, nil},
			"WrongValue":         {O{Checksums: wrong}, store.ErrDigest},
			"NotBase64":          {O{Checksums: sums(a, "?")}, store.ErrDigest},
			"WrongTrailer":       {O{Algorithm: a, Trailer: late(wrong)}, store.ErrDigest},
			"TrailerOverValue":   {O{Checksums: right, Trailer: late(wrong)}, store.ErrDigest},
			"UnannouncedTrailer": {O{Trailer: late(right)}, store.ErrDigest},
		} {
			_, _, got, err := digest(iotest.HalfReader(strings.NewReader(content)), &test.opts)
			if !errors.Is(err, test.want) {
				t.Errorf("%s, %s: error %v, want %v", a, name, err, test.want)
			}
			want := right
			want.Type = store.FullObject
			if test.want == nil && got != want {
				t.Errorf("%s, %s: checksums %v, want %v", a, name, got, want)
			}
		}
	}
}

func TestDigesterErrors(t *testing.T) {
	broken := errors.New("broken")
	type O = store.PartOptions
	for name, test := range map[string]struct {
		r    io.Reader
		opts O
		want error
	}{
		"TooShort":         {strings.NewReader("1234"), O{Size: 5}, store.ErrIncomplete},
		"Empty":            {strings.NewReader(""), O{Size: 1}, store.ErrIncomplete},
		"TooLong":          {strings.NewReader("123456"), O{Size: 5}, store.ErrIncomplete},
		"TooLongSlowly":    {iotest.OneByteReader(strings.NewReader("123456")), O{Size: 5}, store.ErrIncomplete},
		"TooShortWithEOF":  {iotest.DataErrReader(strings.NewReader("1234")), O{Size: 5}, store.ErrIncomplete},
		"AsAnnounced":      {iotest.DataErrReader(strings.NewReader("12345")), O{Size: 5}, nil},
		"SizeUnknown":      {strings.NewReader("12345"), O{Size: -1}, nil},
		"AnnouncedTooMuch": {strings.NewReader("12345"), O{Size: store.MaxPartSize + 1}, store.ErrTooLarge},
		"TooMuch":          {endless{}, O{}, store.ErrTooLarge},
		"WrongMD5":         {strings.NewReader("12345"), O{MD5: make([]byte, 16)}, store.ErrDigest},
		"EmptyMD5":         {strings.NewReader("12345"), O{MD5: []byte{}}, store.ErrDigest},
		"BrokenReader":     {iotest.ErrReader(broken), O{Size: 5}, broken},
		"UnknownAlgorithm": {strings.NewReader("12345"), O{Algorithm: "ROT13"}, fs.ErrInvalid},
		"BrokenTrailer": {strings.NewReader("12345"), O{Algorithm: store.SHA1, Trailer: func() (store.Checksums, error) {
			return store.Checksums{}, broken
		}}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := digest(test.r, &test.opts)
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

// endless claims to have read more than a part may hold. Nobody looks at it:
// only the count matters.
type endless struct{}

func (endless) Read([]byte) (int, error) { return store.MaxPartSize + 1, nil }

func TestMultipartETag(t *testing.T) {
	a, b := md5.Sum([]byte("a")), md5.Sum([]byte("b"))
	parts := []store.Part{{Number: 1, ETag: hex.EncodeToString(a[:])}, {Number: 7, ETag: hex.EncodeToString(b[:])}}
	both := md5.Sum(append(a[:], b[:]...))
	got, err := store.MultipartETag(parts)
	if want := hex.EncodeToString(both[:]) + "-2"; got != want || err != nil {
		t.Errorf("MultipartETag = %q, %v, want %q", got, err, want)
	}
	parts[1].ETag = "not hex"
	if _, err := store.MultipartETag(parts); !errors.Is(err, store.ErrInvalidPart) {
		t.Errorf("MultipartETag with a strange part = %v, want ErrInvalidPart", err)
	}
}

// cut returns the parts of content that end at these places, with checksums by a.
func cut(a store.Algorithm, content string, ends ...int) []store.Part {
	var parts []store.Part
	start := 0
	for i, end := range append(ends, len(content)) {
		parts = append(parts, store.Part{Number: i + 1, Size: int64(end - start), Checksums: sums(a, sum(a, content[start:end]))})
		start = end
	}
	return parts
}

func TestCompositeChecksum(t *testing.T) {
	for _, a := range []store.Algorithm{store.CRC32, store.CRC32C, store.SHA1, store.SHA256} {
		parts := cut(a, "some content", 5)
		h := a.New()
		for _, c := range []string{"some ", "content"} {
			p := a.New()
			io.WriteString(p, c)
			h.Write(p.Sum(nil))
		}
		got, err := store.CompositeChecksum(a, parts)
		if want := base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-2"; got != want || err != nil {
			t.Errorf("CompositeChecksum(%s) = %q, %v, want %q", a, got, err, want)
		}
		for name, value := range map[string]string{"none": "", "no base64": "?", "too short": "AAA="} {
			parts[1].Checksums = sums(a, value)
			if _, err := store.CompositeChecksum(a, parts); !errors.Is(err, store.ErrInvalidPart) {
				t.Errorf("CompositeChecksum(%s) where a part has %s = %v, want ErrInvalidPart", a, name, err)
			}
		}
	}
}

func TestCombineCRC(t *testing.T) {
	b := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	content := string(b)
	for _, a := range []store.Algorithm{store.CRC32, store.CRC32C, store.CRC64NVME} {
		for _, ends := range [][]int{{}, {0}, {100_000}, {1}, {99_999}, {0, 0, 5, 5, 5}, {1, 2, 3}, {65536, 70000}, {12345, 54321, 99999}} {
			got, err := store.CombineCRC(a, cut(a, content, ends...))
			if want := sum(a, content); got != want || err != nil {
				t.Errorf("CombineCRC(%s) of parts that end at %v = %q, %v, want %q", a, ends, got, err, want)
			}
		}
		if got, err := store.CombineCRC(a, cut(a, "")); got != sum(a, "") || err != nil {
			t.Errorf("CombineCRC(%s) of nothing = %q, %v, want %q", a, got, err, sum(a, ""))
		}
		parts := cut(a, content, 10)
		for name, value := range map[string]string{"none": "", "no base64": "?", "too short": "AAA="} {
			parts[1].Checksums = sums(a, value)
			if _, err := store.CombineCRC(a, parts); !errors.Is(err, store.ErrInvalidPart) {
				t.Errorf("CombineCRC(%s) where a part has %s = %v, want ErrInvalidPart", a, name, err)
			}
		}
	}
	for _, a := range []store.Algorithm{store.SHA1, store.SHA256, "ROT13", ""} {
		if _, err := store.CombineCRC(a, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("CombineCRC(%q) = %v, want fs.ErrInvalid", a, err)
		}
	}
}

func BenchmarkCombineCRC(b *testing.B) {
	part := store.Part{Size: store.MaxPartSize - 1, Checksums: sums(store.CRC64NVME, sum(store.CRC64NVME, "x"))}
	parts := make([]store.Part, store.MaxParts)
	for i := range parts {
		parts[i] = part
	}
	for b.Loop() {
		if _, err := store.CombineCRC(store.CRC64NVME, parts); err != nil {
			b.Fatal(err)
		}
	}
}
