package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/cubby-storage/cubby/store"
)

// Put stores what it reads from r under key. Where neither r nor the options
// tell its size and it is over 8 MiB, the object is made of parts.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	info, err := b.put(ctx, key, r, opts)
	return info, b.fail("put", key, err)
}

func (b *Bucket) put(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.PutOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	if err := checkWrite(opts.IfNoneMatch); err != nil {
		return nil, err
	}
	c, rest, err := newContent(withContext(ctx, r), opts.Content(), store.CRC32, bufferSize)
	switch {
	case errors.Is(err, errUnknownSize):
		return b.putParts(ctx, key, rest, opts)
	case err != nil:
		return nil, err
	}
	in := &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: c.body, ContentLength: &c.wire, ContentMD5: c.contentMD5(),
		ContentType: optional(opts.ContentType), CacheControl: optional(opts.CacheControl),
		ContentDisposition: optional(opts.ContentDisposition), ContentEncoding: optional(opts.ContentEncoding),
		ContentLanguage: optional(opts.ContentLanguage), Metadata: opts.User, Tagging: tagging(opts.Tags),
		IfMatch: entityTags(opts.IfMatch), IfNoneMatch: entityTags(opts.IfNoneMatch),
		ServerSideEncryption: types.ServerSideEncryption(opts.SSE.Algorithm), SSEKMSKeyId: optional(opts.SSE.KMSKeyID), SSEKMSEncryptionContext: optional(opts.SSE.KMSContext),
		ChecksumCRC32: optional(c.sums.CRC32), ChecksumCRC32C: optional(c.sums.CRC32C), ChecksumCRC64NVME: optional(c.sums.CRC64NVME),
		ChecksumSHA1: optional(c.sums.SHA1), ChecksumSHA256: optional(c.sums.SHA256),
	}
	if in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, err = customerKey(opts.SSE); err != nil {
		return nil, err
	}
	headers := append(attributeHeaders(&opts.Attributes), contentHeaders(c, opts.ContentEncoding)...)
	sent := newAttempts()
	out, err := b.client.PutObject(ctx, in, payload(c), header(headers...), sent.watch)
	if err != nil {
		err = c.failure(keyError(mapError(err, writeKind(opts.IfNoneMatch)), opts.SSE.CustomerKey))
		if c.section != nil && sent.inVain(err) {
			if info, ok := b.alreadyPut(ctx, sent, key, c, opts.SSE); ok {
				return info, nil
			}
		}
		return nil, err
	}
	return &store.Info{
		Key: key, Size: c.size, ETag: unquote(out.ETag), ModTime: answered(out.ResultMetadata), Version: aws.ToString(out.VersionId),
		Checksums:  or(checksums(out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, ""), c.checksums()),
		TagCount:   len(opts.Tags),
		SSE:        encryption(out.ServerSideEncryption, out.SSEKMSKeyId, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5),
		Attributes: opts.Attributes,
	}, nil
}

// withContext returns a reader of r that fails when ctx has ended, and that can
// seek if r can.
func withContext(ctx context.Context, r io.Reader) io.Reader {
	c := store.ContextReader(ctx, r)
	if s, ok := r.(io.Seeker); ok {
		return struct {
			io.Reader
			io.Seeker
		}{c, s}
	}
	return c
}

// checkWrite refuses the one condition of a write that S3 has no meaning for.
func checkWrite(ifNoneMatch []string) error {
	if slices.Contains(ifNoneMatch, "*") {
		return nil
	}
	if len(ifNoneMatch) > 0 {
		return fmt.Errorf("If-None-Match of a write may only be *: %w", errors.ErrUnsupported)
	}
	return nil
}

// tagging writes tags as the header has them.
func tagging(tags map[string]string) *string {
	v := url.Values{}
	for k, val := range tags {
		v.Set(k, val)
	}
	return optional(v.Encode())
}

func answered(m middleware.Metadata) time.Time {
	t, _ := awsmiddleware.GetServerTime(m)
	return t
}

// putParts is put of a reader of unknown size as an upload in parts.
func (b *Bucket) putParts(ctx context.Context, key string, r io.Reader, opts *store.PutOptions) (_ *store.Info, err error) {
	content := opts.Content()
	d, err := store.NewDigester(r, content)
	if err != nil {
		return nil, err
	}
	part := &store.PartOptions{Algorithm: opts.Algorithm, SSE: opts.SSE}
	if part.Algorithm == "" {
		part.Algorithm = opts.Checksums.Any()
	}
	start := *opts
	start.Algorithm, start.Checksums = part.Algorithm, store.Checksums{}
	if start.Algorithm == store.CRC32 || start.Algorithm == store.CRC32C {
		start.Checksums.Type = store.FullObject
	}
	u, err := b.createUpload(ctx, key, &start)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = b.abortUpload(ctx, key, u.ID)
		}
	}()
	var parts []store.Part
	buf := make([]byte, bufferSize)
	for {
		n, err := io.ReadFull(d, buf)
		if n > 0 {
			p, err := b.putPart(ctx, key, u.ID, len(parts)+1, bytes.NewReader(buf[:n]), part)
			if err != nil {
				return nil, err
			}
			parts = append(parts, *p)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	size, _, sums, err := d.Sum()
	if err != nil {
		return nil, err
	}
	done := &store.CompleteOptions{IfMatch: opts.IfMatch, IfNoneMatch: opts.IfNoneMatch, Size: size}
	if start.Checksums.Type == store.FullObject || part.Algorithm == store.CRC64NVME {
		done.Checksums.Set(part.Algorithm, sums.Get(part.Algorithm))
		done.Checksums.Type = store.FullObject
	}
	info, err := b.completeUpload(ctx, key, u.ID, parts, done)
	if err != nil {
		return nil, err
	}
	info.Size, info.Attributes, info.TagCount = size, opts.Attributes, len(opts.Tags)
	if info.SSE == (store.Encryption{}) {
		info.SSE = u.SSE // The answer to the last request need not have it.
	}
	return info, nil
}
