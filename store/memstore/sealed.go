package memstore

import (
	"bytes"
	"context"
	"io"

	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/crypt"
)

// want returns what a write that asks for sse gets.
func (b *Bucket) want(sse *store.SSE) *store.SSE {
	if b.Options.Encrypt && sse.IsZero() {
		return &store.SSE{Algorithm: crypt.AES256}
	}
	return sse
}

// envelope returns what a write that asks for sse is encrypted by: nil if it is plain.
func (b *Bucket) envelope(ctx context.Context, sse *store.SSE) (*crypt.Envelope, *crypt.DataKey, error) {
	return b.Options.Keys.New(ctx, b.want(sse))
}

func seal(key *crypt.DataKey, data []byte) ([]byte, error) {
	s := key.Seal(bytes.NewReader(data))
	defer s.Close()
	sealed := make([]byte, crypt.SealedSize(int64(len(data))))
	_, err := io.ReadFull(s, sealed)
	return sealed, err
}

// sizes returns how many bytes each part has.
func (o *object) sizes() []int64 {
	sizes := make([]int64, len(o.content))
	for i, chunk := range o.content {
		sizes[i] = int64(len(chunk))
		if o.sealed != nil {
			sizes[i], _ = crypt.PlainSize(sizes[i]) // of what was sealed here there is no error
		}
	}
	return sizes
}

// open returns plain bytes of an object. They are inside it.
func (b *Bucket) open(ctx context.Context, o *object, customer []byte, offset, length int64) (content, error) {
	if o.sealed == nil {
		return o.content.slice(offset, length), nil
	}
	key, err := b.Options.Keys.Open(ctx, o.sealed, customer)
	if err != nil {
		return nil, err
	}
	var plain content
	for i, size := range o.sizes() {
		skip := min(offset, size)
		take := min(length, size-skip)
		offset -= skip
		length -= take
		if take == 0 {
			continue
		}
		r := key.OpenAt(bytes.NewReader(o.content[i]), size, skip, take)
		chunk := make([]byte, take)
		_, err := io.ReadFull(r, chunk)
		r.Close()
		if err != nil {
			return nil, err
		}
		plain = append(plain, chunk)
	}
	return plain, nil
}
