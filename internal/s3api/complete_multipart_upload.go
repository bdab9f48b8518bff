package s3api

import (
	"encoding/xml"
	"net/http"
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
		PartNumber        int    `xml:"PartNumber"`
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
	b, err := c.bucket()
	if err != nil {
		return err
	}
	// Who may not complete the upload, or if there is none, need not send the list.
	if _, err := b.ListParts(c.ctx, c.target.key, id, &store.ListPartsOptions{Limit: 1}); err != nil {
		return err
	}
	parts, err := c.parts()
	if err != nil {
		return err
	}
	info, err := b.CompleteUpload(c.ctx, c.target.key, id, parts, opts)
	if err != nil {
		return err
	}
	set(c.w.Header(), "X-Amz-Version-Id", info.Version)
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
	opts := &store.CompleteOptions{IfMatch: etags(c.value("if-match")), IfNoneMatch: etags(c.value("if-none-match"))}
	var err error
	if opts.Checksums, err = c.checksumValue(); err != nil {
		return nil, err
	}
	if opts.Checksums.Type, err = c.checksumType(); err != nil {
		return nil, err
	}
	if v := c.value("x-amz-mp-object-size"); v != "" {
		if opts.Size, err = strconv.ParseInt(v, 10, 64); err != nil || opts.Size < 0 {
			return nil, newError("InvalidRequest", "x-amz-mp-object-size is not a size.")
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
		return nil, newError("MalformedXML", "There may be 1 to "+itoa(store.MaxParts)+" parts in the list.")
	}
	parts := make([]store.Part, len(req.Parts))
	for i, p := range req.Parts {
		if p.PartNumber < 1 || p.PartNumber > store.MaxParts {
			return nil, newError("InvalidArgument", "The number of a part must be 1 to "+itoa(store.MaxParts)+".")
		}
		parts[i] = store.Part{
			Number: p.PartNumber,
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
