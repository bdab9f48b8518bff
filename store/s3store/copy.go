package s3store

import (
	"context"
	"errors"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
)

// copySource names the source of a copy as the header has it.
func copySource(bucket, key, version string) *string {
	s := escape(bucket) + "/" + escape(key)
	if version != "" {
		s += "?versionId=" + url.QueryEscape(version)
	}
	return &s
}

// escape encodes all but the letters, digits, and the punctuation that no
// service takes for anything else.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~', c == '/':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// source returns the bucket of the source of a copy. It is false if the service
// of b cannot reach it.
func (b *Bucket) source(from store.Bucket) (*Bucket, bool) {
	if from == nil {
		return b, true
	}
	s, ok := from.(*Bucket)
	return s, ok && s.endpoint == b.endpoint
}

// Copy stores under dst the content of the object src. From a bucket of another
// service the content passes through the caller.
func (b *Bucket) Copy(ctx context.Context, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	info, err := b.copy(ctx, dst, src, opts)
	return info, b.fail("copy", dst, err)
}

func (b *Bucket) copy(ctx context.Context, dst, src string, opts *store.CopyOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.CopyOptions)
	}
	for _, key := range []string{dst, src} {
		if err := store.CheckKey(key); err != nil {
			return nil, err
		}
	}
	if err := opts.Put.Check(); err != nil {
		return nil, err
	}
	if err := checkWrite(opts.Put.IfNoneMatch); err != nil {
		return nil, err
	}
	from, ok := b.source(opts.From)
	if !ok {
		return store.CopyThrough(ctx, b, dst, src, opts)
	}
	in := &s3.CopyObjectInput{
		Bucket: &b.name, Key: &dst, CopySource: copySource(from.name, src, opts.Version),
		CopySourceIfMatch: entityTags(opts.Source.IfMatch), CopySourceIfNoneMatch: entityTags(opts.Source.IfNoneMatch),
		CopySourceIfModifiedSince: timeOrNil(opts.Source.IfModifiedSince), CopySourceIfUnmodifiedSince: timeOrNil(opts.Source.IfUnmodifiedSince),
		IfMatch: entityTags(opts.Put.IfMatch), IfNoneMatch: entityTags(opts.Put.IfNoneMatch),
		ChecksumAlgorithm:    types.ChecksumAlgorithm(opts.Put.Algorithm),
		ServerSideEncryption: types.ServerSideEncryption(opts.Put.SSE.Algorithm), SSEKMSKeyId: optional(opts.Put.SSE.KMSKeyID),
		SSEKMSEncryptionContext: optional(opts.Put.SSE.KMSContext),
		MetadataDirective:       types.MetadataDirectiveCopy,
		TaggingDirective:        types.TaggingDirectiveCopy,
	}
	info := &store.Info{Key: dst}
	var headers []string
	if opts.Replace {
		a := &opts.Put.Attributes
		in.MetadataDirective = types.MetadataDirectiveReplace
		in.ContentType, in.CacheControl = optional(a.ContentType), optional(a.CacheControl)
		in.ContentDisposition, in.ContentEncoding = optional(a.ContentDisposition), optional(a.ContentEncoding)
		in.ContentLanguage, in.Metadata = optional(a.ContentLanguage), a.User
		headers = attributeHeaders(a)
		info.Attributes = *a
	}
	if opts.ReplaceTags {
		in.TaggingDirective = types.TaggingDirectiveReplace
		in.Tagging = tagging(opts.Put.Tags)
		info.TagCount = len(opts.Put.Tags)
	}
	var err error
	if in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, err = customerKey(opts.Put.SSE); err != nil {
		return nil, err
	}
	in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey, in.CopySourceSSECustomerKeyMD5, err = customerKey(store.SSE{CustomerKey: opts.SourceKey})
	if err != nil {
		return nil, err
	}
	sent := newAttempts()
	out, err := b.client.CopyObject(ctx, in, header(headers...), sent.watch)
	if err != nil {
		err = keyError(mapError(err, writeKind(opts.Put.IfNoneMatch)), opts.Put.SSE.CustomerKey, opts.SourceKey)
		err = markerError(err, opts.Version)
		if sent.inVain(err) && len(opts.Put.IfMatch)+len(opts.Put.IfNoneMatch) > 0 {
			if info, ok := b.alreadyCopied(ctx, sent, dst, from, src, opts); ok {
				return info, nil
			}
		}
		return nil, err
	}
	r := out.CopyObjectResult
	if r == nil {
		return nil, errors.New("service answered without a result")
	}
	info.ETag, info.ModTime, info.Version = unquote(r.ETag), aws.ToTime(r.LastModified), aws.ToString(out.VersionId)
	info.Parts = partsOf(info.ETag)
	info.SSE = encryption(out.ServerSideEncryption, out.SSEKMSKeyId, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5)
	info.Checksums = checksums(r.ChecksumCRC32, r.ChecksumCRC32C, r.ChecksumCRC64NVME, r.ChecksumSHA1, r.ChecksumSHA256, string(r.ChecksumType))
	return info, nil
}

// CopyPart stores as part n the content of the object src, or a range of it.
// From a bucket of another service the content passes through the caller.
func (b *Bucket) CopyPart(ctx context.Context, key, uploadID string, n int, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	p, err := b.copyPart(ctx, key, uploadID, n, src, opts)
	return p, b.fail("copy part", key, err)
}

func (b *Bucket) copyPart(ctx context.Context, key, uploadID string, n int, src string, opts *store.CopyPartOptions) (*store.Part, error) {
	if opts == nil {
		opts = new(store.CopyPartOptions)
	}
	for _, k := range []string{key, src} {
		if err := store.CheckKey(k); err != nil {
			return nil, err
		}
	}
	if err := checkPart(n); err != nil {
		return nil, err
	}
	if err := checkOwner(opts.UploadOptions); err != nil {
		return nil, err
	}
	from, ok := b.source(opts.From)
	if !ok {
		return store.CopyPartThrough(ctx, b, key, uploadID, n, src, opts)
	}
	in := &s3.UploadPartCopyInput{
		Bucket: &b.name, Key: &key, UploadId: &uploadID, PartNumber: partOrNil(n), CopySource: copySource(from.name, src, opts.Version),
		CopySourceIfMatch: entityTags(opts.Source.IfMatch), CopySourceIfNoneMatch: entityTags(opts.Source.IfNoneMatch),
		CopySourceIfModifiedSince: timeOrNil(opts.Source.IfModifiedSince), CopySourceIfUnmodifiedSince: timeOrNil(opts.Source.IfUnmodifiedSince),
	}
	part := &store.Part{Number: n}
	if r := opts.Range; r != nil && r.Offset >= 0 && r.Length > 0 {
		part.Size = r.Length
		in.CopySourceRange = aws.String(rangeHeader(r))
	} else {
		// The header has only ranges with both ends, and the answer no size.
		info, err := from.stat(ctx, src, &store.GetOptions{Version: opts.Version, SSE: store.SSE{CustomerKey: opts.SourceKey}})
		if err != nil {
			return nil, err
		}
		offset, length, err := opts.Range.ResolveWhole(info.Size)
		if err != nil {
			return nil, err
		}
		if len(opts.Source.IfMatch) == 0 {
			in.CopySourceIfMatch = entityTags([]string{info.ETag})
		}
		part.Size = length
		if opts.Range != nil {
			in.CopySourceRange = aws.String(rangeHeader(&store.Range{Offset: offset, Length: length}))
		}
	}
	var err error
	if in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, err = readKey(opts.SSE); err != nil {
		return nil, err
	}
	in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey, in.CopySourceSSECustomerKeyMD5, err = customerKey(store.SSE{CustomerKey: opts.SourceKey})
	if err != nil {
		return nil, err
	}
	out, err := b.client.UploadPartCopy(ctx, in)
	if err != nil {
		err = markerError(keyError(mapError(err, kindWrite), opts.SSE.CustomerKey, opts.SourceKey), opts.Version)
		if e, ok := errors.AsType[*ServiceError](err); ok && e.Code == "InvalidArgument" && opts.Range != nil {
			// What S3 answers to a range that ends behind the object.
			e.cause = store.ErrRange
		}
		return nil, err
	}
	r := out.CopyPartResult
	if r == nil {
		return nil, errors.New("service answered without a result")
	}
	part.ETag, part.ModTime = unquote(r.ETag), aws.ToTime(r.LastModified)
	part.Checksums = checksums(r.ChecksumCRC32, r.ChecksumCRC32C, r.ChecksumCRC64NVME, r.ChecksumSHA1, r.ChecksumSHA256, "")
	return part, nil
}
