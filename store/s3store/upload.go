package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cubby-storage/cubby/store"
)

// CreateUpload starts a multipart upload of key.
func (b *Bucket) CreateUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	u, err := b.createUpload(ctx, key, opts)
	return u, b.fail("create upload", key, err)
}

func (b *Bucket) createUpload(ctx context.Context, key string, opts *store.PutOptions) (*store.Upload, error) {
	if opts == nil {
		opts = new(store.PutOptions)
	}
	u, err := store.NewUpload(key, opts)
	if err != nil {
		return nil, err
	}
	if err := checkOwner(store.UploadOptions{Owner: opts.Owner}); err != nil {
		return nil, err
	}
	in := &s3.CreateMultipartUploadInput{
		Bucket: &b.name, Key: &key,
		ContentType: optional(opts.ContentType), CacheControl: optional(opts.CacheControl),
		ContentDisposition: optional(opts.ContentDisposition), ContentEncoding: optional(opts.ContentEncoding),
		ContentLanguage: optional(opts.ContentLanguage), Metadata: opts.User, Tagging: tagging(opts.Tags),
		ChecksumAlgorithm: types.ChecksumAlgorithm(u.Algorithm), ChecksumType: types.ChecksumType(u.Type),
		ServerSideEncryption: types.ServerSideEncryption(opts.SSE.Algorithm), SSEKMSKeyId: optional(opts.SSE.KMSKeyID), SSEKMSEncryptionContext: optional(opts.SSE.KMSContext),
	}
	if in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, err = customerKey(opts.SSE); err != nil {
		return nil, err
	}
	out, err := b.client.CreateMultipartUpload(ctx, in, header(attributeHeaders(&opts.Attributes)...))
	if err != nil {
		return nil, keyError(mapError(err, kindWrite), opts.SSE.CustomerKey)
	}
	u.ID = aws.ToString(out.UploadId)
	if u.ID == "" {
		return nil, errors.New("service answered without an upload id")
	}
	u.Started = answered(out.ResultMetadata)
	u.SSE = encryption(out.ServerSideEncryption, out.SSEKMSKeyId, out.SSECustomerAlgorithm, out.SSECustomerKeyMD5)
	return u, nil
}

// checkOwner refuses to tell uploads apart by who started them.
func checkOwner(o store.UploadOptions) error {
	if o.Owner != "" {
		return fmt.Errorf("owner of an upload: %w", errors.ErrUnsupported)
	}
	return nil
}

// PutPart stores what it reads from r as part n. A part of a size that neither
// r nor the options tell may have at most 64 MiB, which are held in memory.
func (b *Bucket) PutPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	p, err := b.putPart(ctx, key, uploadID, n, r, opts)
	return p, b.fail("put part", key, err)
}

func (b *Bucket) putPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *store.PartOptions) (*store.Part, error) {
	if opts == nil {
		opts = new(store.PartOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := checkPart(n); err != nil {
		return nil, err
	}
	if opts.Size > store.MaxPartSize {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed: %w", opts.Size, int64(store.MaxPartSize), store.ErrTooLarge)
	}
	if opts.Algorithm != "" && opts.Algorithm.New() == nil {
		return nil, fmt.Errorf("unknown checksum algorithm %q: %w", opts.Algorithm, fs.ErrInvalid)
	}
	if err := checkOwner(opts.UploadOptions); err != nil {
		return nil, err
	}
	c, _, err := newContent(withContext(ctx, r), opts, "", maxBuffer)
	switch {
	case errors.Is(err, errUnknownSize):
		return nil, fmt.Errorf("part of unknown size is over %d bytes: %w", maxBuffer, store.ErrTooLarge)
	case err != nil:
		return nil, err
	}
	in := &s3.UploadPartInput{
		Bucket: &b.name, Key: &key, UploadId: &uploadID, PartNumber: partOrNil(n),
		Body: c.body, ContentLength: &c.wire, ContentMD5: c.contentMD5(),
		ChecksumCRC32: optional(c.sums.CRC32), ChecksumCRC32C: optional(c.sums.CRC32C), ChecksumCRC64NVME: optional(c.sums.CRC64NVME),
		ChecksumSHA1: optional(c.sums.SHA1), ChecksumSHA256: optional(c.sums.SHA256),
	}
	if in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5, err = readKey(opts.SSE); err != nil {
		return nil, err
	}
	out, err := b.client.UploadPart(ctx, in, payload(c), header(contentHeaders(c, "")...))
	if err != nil {
		err = c.failure(keyError(mapError(err, kindUpload), opts.SSE.CustomerKey))
		isKey := errors.Is(err, store.ErrKey) || errors.Is(err, store.ErrWrongKey)
		if s, ok := c.body.(io.Seeker); ok && !isKey && opts.Algorithm == "" && opts.Checksums.Any() == "" && hasCode(err, "InvalidRequest", "InvalidArgument") {
			return b.putPartAgain(ctx, key, uploadID, n, c, s, opts, err)
		}
		return nil, err
	}
	return &store.Part{
		Number: n, Size: c.size, ETag: unquote(out.ETag), ModTime: answered(out.ResultMetadata),
		Checksums: or(checksums(out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, ""), c.checksums()),
	}, nil
}

// putPartAgain sends a part with the checksum that its upload is made with: some
// services refuse one without.
func (b *Bucket) putPartAgain(ctx context.Context, key, uploadID string, n int, c *content, s io.Seeker, opts *store.PartOptions, cause error) (*store.Part, error) {
	page, err := b.listParts(ctx, key, uploadID, &store.ListPartsOptions{Limit: 1})
	if err != nil || page.Upload.Algorithm == "" {
		return nil, cause
	}
	if _, err := s.Seek(c.start, io.SeekStart); err != nil {
		return nil, cause
	}
	again := *opts
	again.Algorithm = page.Upload.Algorithm
	return b.putPart(ctx, key, uploadID, n, c.body, &again)
}

// hasCode reports whether a service refused with one of the codes.
func hasCode(err error, codes ...string) bool {
	e, ok := errors.AsType[*ServiceError](err)
	return ok && slices.Contains(codes, e.Code)
}

// ListParts returns a page of the parts that are stored, by number.
func (b *Bucket) ListParts(ctx context.Context, key, uploadID string, opts *store.ListPartsOptions) (*store.PartsPage, error) {
	page, err := b.listParts(ctx, key, uploadID, opts)
	return page, b.fail("list parts", key, err)
}

func (b *Bucket) listParts(ctx context.Context, key, uploadID string, opts *store.ListPartsOptions) (*store.PartsPage, error) {
	if opts == nil {
		opts = new(store.ListPartsOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := checkOwner(opts.UploadOptions); err != nil {
		return nil, err
	}
	limit, err := store.PageLimit(opts.Limit)
	if err != nil {
		return nil, err
	}
	in := &s3.ListPartsInput{Bucket: &b.name, Key: &key, UploadId: &uploadID, MaxParts: aws.Int32(int32(limit))}
	if opts.After > 0 {
		in.PartNumberMarker = aws.String(strconv.Itoa(opts.After))
	}
	out, err := b.client.ListParts(ctx, in)
	if err != nil {
		return nil, mapError(err, kindUpload)
	}
	page := &store.PartsPage{
		Upload: store.Upload{Key: key, ID: uploadID, Owner: initiator(out.Initiator), Algorithm: store.Algorithm(out.ChecksumAlgorithm), Type: store.ChecksumType(out.ChecksumType)},
		More:   aws.ToBool(out.IsTruncated),
	}
	for _, p := range out.Parts {
		page.Parts = append(page.Parts, store.Part{
			Number: int(aws.ToInt32(p.PartNumber)), Size: aws.ToInt64(p.Size), ETag: unquote(p.ETag), ModTime: aws.ToTime(p.LastModified),
			Checksums: checksums(p.ChecksumCRC32, p.ChecksumCRC32C, p.ChecksumCRC64NVME, p.ChecksumSHA1, p.ChecksumSHA256, ""),
		})
		page.Next = int(aws.ToInt32(p.PartNumber))
	}
	return page, nil
}

func initiator(i *types.Initiator) string {
	if i == nil {
		return ""
	}
	return aws.ToString(i.ID)
}

// CompleteUpload makes the object of the parts named.
func (b *Bucket) CompleteUpload(ctx context.Context, key, uploadID string, parts []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	info, err := b.completeUpload(ctx, key, uploadID, parts, opts)
	return info, b.fail("complete upload", key, err)
}

func (b *Bucket) completeUpload(ctx context.Context, key, uploadID string, parts []store.Part, opts *store.CompleteOptions) (*store.Info, error) {
	if opts == nil {
		opts = new(store.CompleteOptions)
	}
	if err := store.CheckKey(key); err != nil {
		return nil, err
	}
	if err := checkOwner(opts.UploadOptions); err != nil {
		return nil, err
	}
	if err := checkWrite(opts.IfNoneMatch); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("no parts: %w", fs.ErrInvalid)
	}
	parts, err := b.withTags(ctx, key, uploadID, parts)
	if err != nil {
		return nil, err
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: &key, UploadId: &uploadID, MultipartUpload: new(types.CompletedMultipartUpload),
		IfMatch: entityTags(opts.IfMatch), IfNoneMatch: entityTags(opts.IfNoneMatch),
		ChecksumCRC32: optional(opts.Checksums.CRC32), ChecksumCRC32C: optional(opts.Checksums.CRC32C), ChecksumCRC64NVME: optional(opts.Checksums.CRC64NVME),
		ChecksumSHA1: optional(opts.Checksums.SHA1), ChecksumSHA256: optional(opts.Checksums.SHA256), ChecksumType: types.ChecksumType(opts.Checksums.Type),
	}
	if opts.Size > 0 {
		in.MpuObjectSize = &opts.Size
	}
	info := &store.Info{Key: key, Parts: len(parts), Size: opts.Size}
	var sum int64
	for _, p := range parts {
		sum += p.Size
		in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, types.CompletedPart{
			PartNumber: partOrNil(p.Number), ETag: aws.String(`"` + p.ETag + `"`),
			ChecksumCRC32: optional(p.Checksums.CRC32), ChecksumCRC32C: optional(p.Checksums.CRC32C), ChecksumCRC64NVME: optional(p.Checksums.CRC64NVME),
			ChecksumSHA1: optional(p.Checksums.SHA1), ChecksumSHA256: optional(p.Checksums.SHA256),
		})
	}
	if info.Size == 0 {
		info.Size = sum
	}
	sent := newAttempts()
	out, err := b.client.CompleteMultipartUpload(ctx, in, sent.watch)
	if err != nil {
		k := kindUpload
		if len(opts.IfNoneMatch) > 0 {
			k = kindWriteAbsent
		}
		err = mapError(err, k)
		if sent.inVain(err) {
			if info, ok := b.alreadyComplete(ctx, key, uploadID, parts, opts, err); ok {
				return info, nil
			}
		}
		if opts.Size > 0 && hasCode(err, "InvalidRequest") && b.isOtherSize(ctx, key, uploadID, parts, opts.Size) {
			err = fmt.Errorf("%w: %w", store.ErrIncomplete, err)
		}
		return nil, err
	}
	info.ETag, info.ModTime, info.Version = unquote(out.ETag), answered(out.ResultMetadata), aws.ToString(out.VersionId)
	if info.ETag == "" {
		return nil, errors.New("service answered without an entity tag")
	}
	info.Checksums = or(checksums(out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256, string(out.ChecksumType)), opts.Checksums)
	info.SSE = encryption(out.ServerSideEncryption, out.SSEKMSKeyId, nil, nil)
	return info, nil
}

// withTags fills in the entity tags, and the checksums that S3 then asks for, of
// the parts that are named by their numbers alone.
func (b *Bucket) withTags(ctx context.Context, key, uploadID string, parts []store.Part) ([]store.Part, error) {
	known := true
	for _, p := range parts {
		known = known && p.ETag != ""
	}
	if known {
		return parts, nil
	}
	stored, err := b.storedParts(ctx, key, uploadID)
	if err != nil {
		return nil, err
	}
	full := make([]store.Part, len(parts))
	for i, p := range parts {
		full[i] = p
		if p.ETag != "" {
			continue
		}
		s, ok := stored[p.Number]
		if !ok {
			return nil, fmt.Errorf("part %d is not stored: %w", p.Number, store.ErrInvalidPart)
		}
		full[i].ETag, full[i].Size = s.ETag, s.Size
		full[i].Checksums = or(p.Checksums, s.Checksums)
	}
	return full, nil
}

func (b *Bucket) storedParts(ctx context.Context, key, uploadID string) (map[int]store.Part, error) {
	stored := map[int]store.Part{}
	for opts := new(store.ListPartsOptions); ; {
		page, err := b.listParts(ctx, key, uploadID, opts)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parts {
			stored[p.Number] = p
		}
		if !page.More || page.Next <= opts.After {
			return stored, nil
		}
		opts.After = page.Next
	}
}

// isOtherSize reports whether the parts that are stored have another size than
// that announced, which S3 has no code of its own for.
func (b *Bucket) isOtherSize(ctx context.Context, key, uploadID string, parts []store.Part, size int64) bool {
	stored, err := b.storedParts(ctx, key, uploadID)
	if err != nil {
		return false
	}
	for _, p := range parts {
		size -= stored[p.Number].Size
	}
	return size != 0
}

// AbortUpload forgets the upload and its parts.
func (b *Bucket) AbortUpload(ctx context.Context, key, uploadID string, opts *store.UploadOptions) error {
	err := store.CheckKey(key)
	if err == nil && opts != nil {
		err = checkOwner(*opts)
	}
	if err == nil {
		err = b.abortUpload(ctx, key, uploadID)
	}
	return b.fail("abort upload", key, err)
}

func (b *Bucket) abortUpload(ctx context.Context, key, uploadID string) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: &uploadID})
	return mapError(err, kindUpload)
}
