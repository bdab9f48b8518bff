package store

import (
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"

	"github.com/minio/crc64nvme"
)

// Algorithm is a checksum algorithm, by its name in the S3 API. "" is none.
type Algorithm string

// The algorithms of the S3 API.
const (
	CRC32     Algorithm = "CRC32"
	CRC32C    Algorithm = "CRC32C"
	CRC64NVME Algorithm = "CRC64NVME"
	SHA1      Algorithm = "SHA1"
	SHA256    Algorithm = "SHA256"
)

// ChecksumType says what the checksum of a multipart object is made of.
type ChecksumType string

// FullObject is the checksum of the content. Composite is the checksum of the
// checksums of the parts, followed by a hyphen and their number.
const (
	FullObject ChecksumType = "FULL_OBJECT"
	Composite  ChecksumType = "COMPOSITE"
)

// Checksums are the checksums of some content, in base64 as the S3 API writes
// them; those that are not known are "".
type Checksums struct {
	CRC32, CRC32C, CRC64NVME, SHA1, SHA256 string
	Type                                   ChecksumType // "" stands for FullObject
}

// Algorithms lists all algorithms.
func Algorithms() []Algorithm { return []Algorithm{CRC32, CRC32C, CRC64NVME, SHA1, SHA256} }

// Get returns the checksum by a, or "".
func (c *Checksums) Get(a Algorithm) string {
	if p := c.field(a); p != nil {
		return *p
	}
	return ""
}

// Set sets the checksum by a. An unknown a is ignored.
func (c *Checksums) Set(a Algorithm, value string) {
	if p := c.field(a); p != nil {
		*p = value
	}
}

func (c *Checksums) field(a Algorithm) *string {
	switch a {
	case CRC32:
		return &c.CRC32
	case CRC32C:
		return &c.CRC32C
	case CRC64NVME:
		return &c.CRC64NVME
	case SHA1:
		return &c.SHA1
	case SHA256:
		return &c.SHA256
	}
	return nil
}

// Any returns an algorithm that c has a value for, or "".
func (c *Checksums) Any() Algorithm {
	for _, a := range Algorithms() {
		if c.Get(a) != "" {
			return a
		}
	}
	return ""
}

// New returns a hash for a, or nil if there is no such algorithm.
func (a Algorithm) New() hash.Hash {
	switch a {
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case CRC64NVME:
		return crc64nvme.New()
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	}
	return nil
}

// DefaultType is the type of a multipart object's checksum where none was asked for.
func (a Algorithm) DefaultType() ChecksumType {
	if a == CRC64NVME {
		return FullObject
	}
	return Composite
}

// CheckType reports whether the S3 API has checksums of type t by a: the SHA
// family is composite only, CRC64NVME full object only. The error is fs.ErrInvalid.
func (a Algorithm) CheckType(t ChecksumType) error {
	ok := false
	switch a {
	case CRC32, CRC32C:
		ok = t == FullObject || t == Composite
	case CRC64NVME:
		ok = t == FullObject
	case SHA1, SHA256:
		ok = t == Composite
	}
	if !ok {
		return fmt.Errorf("there is no checksum of type %s by %s: %w", t, a, fs.ErrInvalid)
	}
	return nil
}

// DigestError is the error for content that does not have a checksum given for it.
// It matches ErrDigest.
type DigestError struct {
	Algorithm Algorithm // "" is the MD5
	Got, Want string    // in base64, but the MD5 that was wanted in hexadecimal, as S3 tells it
}

func (e *DigestError) Error() string {
	return string(cmp.Or(e.Algorithm, "Content-MD5")) + ": " + ErrDigest.Error()
}

// Unwrap returns ErrDigest.
func (e *DigestError) Unwrap() error { return ErrDigest }

// Digester checks content on its way into a driver: it counts the bytes, makes
// the MD5 for the entity tag and whichever checksums are wanted, each once, and
// compares them at the end with what the options said.
type Digester struct {
	r       io.Reader
	n       int64
	limit   int64
	size    int64
	md5     hash.Hash
	want    []byte
	given   Checksums
	trailer func() (Checksums, error)
	hashes  []algorithmHash
}

type algorithmHash struct {
	a Algorithm
	h hash.Hash
}

// NewDigester returns a Digester that reads r as a Put or PutPart with these
// options would. It refuses an unknown algorithm, and content above MaxPartSize.
func NewDigester(r io.Reader, opts *PartOptions) (*Digester, error) {
	if opts == nil {
		opts = new(PartOptions)
	}
	d := &Digester{r: r, limit: MaxPartSize, size: opts.Size, md5: md5.New(), want: opts.MD5, given: opts.Checksums, trailer: opts.Trailer}
	if opts.Size > MaxPartSize {
		return nil, ErrTooLarge
	}
	if opts.Algorithm != "" && opts.Algorithm.New() == nil {
		return nil, fmt.Errorf("unknown checksum algorithm %q: %w", opts.Algorithm, fs.ErrInvalid)
	}
	for _, a := range Algorithms() {
		if a == opts.Algorithm || opts.Checksums.Get(a) != "" {
			d.hashes = append(d.hashes, algorithmHash{a, a.New()})
		}
	}
	return d, nil
}

// Read reads from the underlying reader. Instead of io.EOF it returns
// ErrIncomplete if the size is not the one announced.
func (d *Digester) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.n += int64(n)
	if d.n > d.limit {
		return 0, ErrTooLarge
	}
	if d.size > 0 && (d.n > d.size || err == io.EOF && d.n < d.size) {
		return 0, fmt.Errorf("got %d bytes of %d: %w", d.n, d.size, ErrIncomplete)
	}
	d.md5.Write(p[:n])
	for _, h := range d.hashes {
		h.h.Write(p[:n])
	}
	return n, err
}

// Sum is called after Read has returned io.EOF. It compares the checksums and
// returns what is to be kept. The error is ErrDigest, or that of the trailer.
func (d *Digester) Sum() (size int64, etag string, sums Checksums, err error) {
	sum := d.md5.Sum(nil)
	if d.want != nil && string(d.want) != string(sum) {
		return 0, "", Checksums{}, &DigestError{Got: base64.StdEncoding.EncodeToString(sum), Want: hex.EncodeToString(d.want)}
	}
	given := d.given
	if d.trailer != nil {
		late, err := d.trailer()
		if err != nil {
			return 0, "", Checksums{}, err
		}
		for _, a := range Algorithms() {
			if v := late.Get(a); v != "" {
				given.Set(a, v)
			}
		}
	}
	for _, h := range d.hashes {
		v := base64.StdEncoding.EncodeToString(h.h.Sum(nil))
		if g := given.Get(h.a); g != "" && g != v {
			return 0, "", Checksums{}, &DigestError{h.a, v, g}
		}
		sums.Set(h.a, v)
	}
	for _, a := range Algorithms() {
		if given.Get(a) != "" && sums.Get(a) == "" {
			return 0, "", Checksums{}, fmt.Errorf("%s was not announced: %w", a, ErrDigest)
		}
	}
	if len(d.hashes) > 0 {
		sums.Type = FullObject
	}
	return d.n, hex.EncodeToString(sum), sums, nil
}

// MultipartETag returns the entity tag of an object made of parts: the MD5 of
// their MD5s, a hyphen, and their number.
func MultipartETag(parts []Part) (string, error) {
	h := md5.New()
	for _, p := range parts {
		b, err := hex.DecodeString(p.ETag)
		if err != nil {
			return "", fmt.Errorf("entity tag %q of part %d: %w", p.ETag, p.Number, ErrInvalidPart)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts)), nil
}

// CompositeChecksum returns the checksum of type Composite by a of an object made of parts.
func CompositeChecksum(a Algorithm, parts []Part) (string, error) {
	h := a.New()
	for _, p := range parts {
		b, err := base64.StdEncoding.DecodeString(p.Checksums.Get(a))
		if err != nil || len(b) != h.Size() {
			return "", fmt.Errorf("part %d has no %s: %w", p.Number, a, ErrInvalidPart)
		}
		h.Write(b)
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts)), nil
}
