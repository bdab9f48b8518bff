package s3api

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func listMultipartUploads(c *call) error {
	q, err := c.listQuery("max-uploads")
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	afterKey, afterID := c.query.Get("key-marker"), c.query.Get("upload-id-marker")
	opts := &store.ListUploadsOptions{Prefix: q.prefix, Delimiter: q.delimiter, AfterKey: afterKey, Limit: max(q.limit, 1)}
	if afterKey != "" {
		opts.AfterID = afterID
	}
	page, err := b.ListUploads(c.ctx, opts)
	if errors.Is(err, fs.ErrInvalid) && opts.AfterID != "" {
		return badArgument("upload-id-marker", afterID, "Invalid uploadId marker")
	}
	if err != nil {
		return err
	}
	if q.limit == 0 {
		page = new(store.UploadsPage)
	}
	x := newXML()
	x.url = q.url
	x.root("ListMultipartUploadsResult")
	x.elem("Bucket", c.target.bucket)
	x.key("KeyMarker", afterKey)
	x.elem("UploadIdMarker", afterID)
	if page.More {
		x.key("NextKeyMarker", page.NextKey)
		x.elem("NextUploadIdMarker", page.NextID)
	}
	x.key("Prefix", q.prefix)
	if q.delimiter != "" {
		x.key("Delimiter", q.delimiter)
	}
	x.int("MaxUploads", int64(q.limit))
	if q.url {
		x.elem("EncodingType", "url")
	}
	x.bool("IsTruncated", page.More)
	for i := range page.Uploads {
		u := &page.Uploads[i]
		x.open("Upload")
		x.key("Key", u.Key)
		x.elem("UploadId", u.ID)
		// Never who really started it: the identity of a guest is a secret.
		x.owner("Initiator", c.s.opts.OwnerID)
		x.owner("Owner", c.s.opts.OwnerID)
		x.elem("StorageClass", "STANDARD")
		x.time("Initiated", u.Started)
		x.some("ChecksumAlgorithm", string(u.Algorithm))
		x.some("ChecksumType", string(u.Type))
		x.close("Upload")
	}
	x.prefixes(page.Prefixes)
	x.close("ListMultipartUploadsResult")
	return c.xml(http.StatusOK, x)
}
