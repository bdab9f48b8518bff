package s3api

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cubby-storage/cubby/store"
)

// maxCompleteBody is the most bytes in the list of CompleteMultipartUpload: all
// parts, each with a checksum.
const maxCompleteBody = 4 << 20

// completeRequest is the list of CompleteMultipartUpload.
type completeRequest struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Parts   []struct {
		PartNumber        *int   `xml:"PartNumber"`
		ETag              string `xml:"ETag"` // "" takes the part by its number
		ChecksumCRC32     string `xml:"ChecksumCRC32"`
		ChecksumCRC32C    string `xml:"ChecksumCRC32C"`
		ChecksumCRC64NVME string `xml:"ChecksumCRC64NVME"`
		ChecksumSHA1      string `xml:"ChecksumSHA1"`
		ChecksumSHA256    string `xml:"ChecksumSHA256"`
	} `xml:"Part"`
}

func completeMultipartUpload(c *call) error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	opts, err := c.completeOptions()
	if err != nil {
		return err
	}
	if _, err := c.customerKey(ownKey); err != nil {
		return err // though only those who put parts need the key
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	// Who may not complete the upload, or if there is none, need not send the list.
	page, gone := b.ListParts(c.ctx, c.target.key, id, &store.ListPartsOptions{Limit: 1})
	if gone != nil && !errors.Is(gone, store.ErrNoUpload) {
		return gone
	}
	parts, err := c.parts()
	if err != nil {
		return err
	}
	if gone != nil {
		return c.completedBefore(b, parts, gone)
	}
	if t, u := opts.Checksums.Type, page.Upload.Type; t != "" && u != "" && t != u {
		return newError("InvalidRequest", "The upload was created using the "+string(u)+" checksum mode. The complete request must use the same checksum mode.")
	}
	if err := c.sameSSE(&page.Upload); err != nil {
		return err
	}
	info, err := b.CompleteUpload(c.ctx, c.target.key, id, parts, opts)
	switch {
	case errors.Is(err, store.ErrNoUpload):
		return c.completedBefore(b, parts, err)
	case errors.Is(err, store.ErrIncomplete):
		return c.wrongSize(b, id, parts, opts.Size)
	case err != nil:
		return err
	}
	return c.completed(info)
}

// completedBefore answers a request to complete an upload that is gone, as a
// client repeats it that has not got the answer: if the object is what these
// parts make, all is well. Otherwise it returns gone.
func (c *call) completedBefore(b store.Bucket, parts []store.Part, gone error) error {
	etag, err := store.MultipartETag(parts)
	if err != nil {
		return gone
	}
	info, err := b.Stat(c.ctx, c.target.key, nil)
	if err != nil || info.ETag != etag || info.Parts != len(parts) {
		return gone
	}
	return c.completed(info)
}

// wrongSize is the error for an object that has not the size it was to have.
func (c *call) wrongSize(b store.Bucket, id string, named []store.Part, want int64) error {
	e := newError("InvalidRequest", "")
	var size int64
	opts := new(store.ListPartsOptions)
	for {
		page, err := b.ListParts(c.ctx, c.target.key, id, opts)
		if err != nil {
			return e
		}
		for _, p := range page.Parts {
			if slices.ContainsFunc(named, func(n store.Part) bool { return n.Number == p.Number }) {
				size += p.Size
			}
		}
		if !page.More {
			e.Message = "The provided 'x-amz-mp-object-size' header value " + itoa(want) + " does not match what was computed: " + itoa(size)
			return e
		}
		opts.After = page.Next
	}
}

// completed answers with the object that an upload has become.
func (c *call) completed(info *store.Info) error {
	c.tellVersion(info)
	setSSE(c.w.Header(), &info.SSE)
	x := newXML()
	x.root("CompleteMultipartUploadResult")
	x.elem("Location", c.location())
	x.elem("Bucket", c.target.bucket)
	x.elem("Key", c.target.key)
	x.etag(info.ETag)
	x.checksums(&info.Checksums)
	if info.Checksums.Any() != "" {
		x.elem("ChecksumType", string(or(info.Checksums.Type, store.FullObject)))
	}
	x.close("CompleteMultipartUploadResult")
	return c.xml(http.StatusOK, x)
}

// completeOptions reads the headers. A checksum among them is that of the object,
// not of the list.
func (c *call) completeOptions() (*store.CompleteOptions, error) {
	if err := c.noTimes(); err != nil {
		return nil, err
	}
	opts := new(store.CompleteOptions)
	var err error
	if opts.IfMatch, opts.IfNoneMatch, err = c.writeConditions(); err != nil {
		return nil, err
	}
	if opts.Checksums, err = c.checksumValue(); err != nil {
		return nil, err
	}
	if opts.Checksums.Type, err = c.checksumType(); err != nil {
		return nil, err
	}
	if v := c.value("x-amz-mp-object-size"); v != "" {
		if opts.Size, err = strconv.ParseInt(v, 10, 64); err != nil {
			return nil, newError("InvalidRequest", "Value for x-amz-mp-object-size header is invalid: '"+v+"'")
		}
		if opts.Size < 0 {
			return nil, newError("InvalidRequest", "Value for x-amz-mp-object-size header is less than zero: '"+v+"'")
		}
	}
	return opts, nil
}

// parts reads the list of parts.
func (c *call) parts() ([]store.Part, error) {
	text, err := c.readBody(maxCompleteBody)
	if err != nil {
		return nil, err
	}
	var req completeRequest
	if err := readXML(text, &req); err != nil {
		return nil, err
	}
	if len(req.Parts) == 0 || len(req.Parts) > store.MaxParts {
		return nil, newError("MalformedXML", "")
	}
	parts := make([]store.Part, len(req.Parts))
	for i, p := range req.Parts {
		if p.PartNumber == nil {
			return nil, malformed("A part has no PartNumber.")
		}
		n := *p.PartNumber
		if n < 1 || n > store.MaxParts {
			return nil, badArgument("PartNumber", itoa(n), "PartNumber must be >= 1")
		}
		parts[i] = store.Part{
			Number: n,
			ETag:   strings.Trim(strings.TrimSpace(p.ETag), `"`),
			Checksums: store.Checksums{
				CRC32: p.ChecksumCRC32, CRC32C: p.ChecksumCRC32C, CRC64NVME: p.ChecksumCRC64NVME, SHA1: p.ChecksumSHA1, SHA256: p.ChecksumSHA256,
			},
		}
	}
	return parts, nil
}

// location returns the address of the object that the request is about.
func (c *call) location() string {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.r.Host + c.r.URL.EscapedPath()
}
