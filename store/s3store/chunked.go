package s3store

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// chunkSize is the content in a chunk. S3 asks for at least 8 KiB.
const chunkSize = 64 << 10

// chunked encodes content as aws-chunked, unsigned, with its checksum behind it.
type chunked struct {
	g       *guard
	header  string
	left    int64  // of the content
	chunk   int64  // of the chunk
	pending string // framing to be sent next
	last    bool   // pending is the end
}

func newChunked(g *guard, a store.Algorithm, size int64) *chunked {
	return &chunked{g: g, header: checksumHeader(a), left: size}
}

// chunkedSize is the length of the encoding of a content of that size.
func chunkedSize(a store.Algorithm, size int64) int64 {
	frame := func(n int64) int64 { return int64(len(strconv.FormatInt(n, 16))) + 2 + n + 2 }
	total := size / chunkSize * frame(chunkSize)
	if rest := size % chunkSize; rest > 0 {
		total += frame(rest)
	}
	value := int64((a.New().Size() + 2) / 3 * 4)
	return total + int64(len("0\r\n")+len(checksumHeader(a))+len(":")+len("\r\n\r\n")) + value
}

func checksumHeader(a store.Algorithm) string {
	return "x-amz-checksum-" + strings.ToLower(string(a))
}

// Read implements io.Reader.
func (c *chunked) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.pending == "" {
		switch {
		case c.last:
			return 0, io.EOF
		case c.chunk > 0:
			n, err := c.g.Read(p[:min(int64(len(p)), c.chunk)])
			c.chunk -= int64(n)
			c.left -= int64(n)
			if c.chunk == 0 {
				c.pending = "\r\n"
			}
			if err == io.EOF && c.left > 0 {
				err = io.ErrUnexpectedEOF
			}
			if n > 0 || err != nil && err != io.EOF {
				return n, err
			}
		case c.left > 0:
			c.chunk = min(c.left, chunkSize)
			c.pending = strconv.FormatInt(c.chunk, 16) + "\r\n"
		default:
			c.pending = fmt.Sprintf("0\r\n%s:%s\r\n\r\n", c.header, c.g.sum)
			c.last = true
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}
