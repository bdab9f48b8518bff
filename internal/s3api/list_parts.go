package s3api

import (
	"math"
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func listParts(c *call) error {
	id, err := c.uploadID()
	if err != nil {
		return err
	}
	q, err := c.listQuery("max-parts")
	if err != nil {
		return err
	}
	after, err := c.number("part-number-marker", 0, 0, math.MaxInt32)
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	page, err := b.ListParts(c.ctx, c.target.key, id, &store.ListPartsOptions{After: after, Limit: max(q.limit, 1)})
	if err != nil {
		return err
	}
	if q.limit == 0 {
		page = &store.PartsPage{Upload: page.Upload}
	}
	x := newXML()
	x.url = q.url
	x.root("ListPartsResult")
	x.elem("Bucket", c.target.bucket)
	x.key("Key", c.target.key)
	x.elem("UploadId", id)
	x.owner("Initiator", c.s.opts.OwnerID)
	x.owner("Owner", c.s.opts.OwnerID)
	x.elem("StorageClass", "STANDARD")
	x.int("PartNumberMarker", int64(after))
	if page.More {
		x.int("NextPartNumberMarker", int64(page.Next))
	}
	x.int("MaxParts", int64(q.limit))
	if q.url {
		x.elem("EncodingType", "url")
	}
	x.bool("IsTruncated", page.More)
	x.some("ChecksumAlgorithm", string(page.Upload.Algorithm))
	x.some("ChecksumType", string(page.Upload.Type))
	for i := range page.Parts {
		p := &page.Parts[i]
		x.open("Part")
		x.int("PartNumber", int64(p.Number))
		x.time("LastModified", p.ModTime)
		x.etag(p.ETag)
		x.int("Size", p.Size)
		x.checksums(&p.Checksums)
		x.close("Part")
	}
	x.close("ListPartsResult")
	return c.xml(http.StatusOK, x)
}
