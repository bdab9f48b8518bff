package s3api

import (
	"context"
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

func listObjectVersions(c *call) error {
	q, err := c.listQuery("max-keys")
	if err != nil {
		return err
	}
	afterKey, afterVersion := c.query.Get("key-marker"), c.query.Get("version-id-marker")
	if c.query.Has("version-id-marker") {
		if afterVersion == "" {
			return newError("InvalidArgument", "version-id-marker is empty.")
		}
		if afterKey == "" {
			return newError("InvalidArgument", "version-id-marker needs a key-marker.")
		}
		if err := checkVersion("version-id-marker", afterVersion); err != nil {
			return err
		}
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	page, err := versionsPage(c.ctx, b, q, afterKey, afterVersion)
	if err != nil {
		return err
	}
	x := newXML()
	x.url = q.url
	x.root("ListVersionsResult")
	x.elem("Name", c.target.bucket)
	x.key("Prefix", q.prefix)
	x.key("KeyMarker", afterKey)
	x.elem("VersionIdMarker", afterVersion)
	if page.More {
		x.key("NextKeyMarker", page.NextKey)
		x.some("NextVersionIdMarker", page.NextVersion)
	}
	if q.delimiter != "" {
		x.key("Delimiter", q.delimiter)
	}
	x.int("MaxKeys", int64(q.limit))
	if q.url {
		x.elem("EncodingType", "url")
	}
	x.bool("IsTruncated", page.More)
	for i := range page.Versions {
		x.version(&page.Versions[i], c.s.opts.OwnerID)
	}
	x.prefixes(page.Prefixes)
	x.close("ListVersionsResult")
	return c.xml(http.StatusOK, x)
}

// versionsPage reads a page of versions, as listPage does one of objects.
func versionsPage(ctx context.Context, b store.Bucket, q *listQuery, afterKey, afterVersion string) (*store.VersionsPage, error) {
	opts := &store.ListVersionsOptions{Prefix: q.prefix, Delimiter: q.delimiter, AfterKey: afterKey, AfterVersion: afterVersion, Limit: max(q.limit, 1)}
	for n := 0; ; n++ {
		page, err := b.ListVersions(ctx, opts)
		switch {
		case err != nil:
			return nil, err
		case q.limit == 0:
			return new(store.VersionsPage), nil
		case len(page.Versions)+len(page.Prefixes) > 0, !page.More, n == maxEmptyPages:
			return page, nil
		case page.NextKey < opts.AfterKey, page.NextKey == opts.AfterKey && page.NextVersion == opts.AfterVersion:
			return page, nil // it goes round in a circle
		}
		opts.AfterKey, opts.AfterVersion = page.NextKey, page.NextVersion
	}
}

// version writes a version or a delete marker, which belongs to owner.
func (x *xmlWriter) version(v *store.Version, owner string) {
	name := "Version"
	if v.IsMarker {
		name = "DeleteMarker"
	}
	x.open(name)
	x.key("Key", v.Key)
	x.elem("VersionId", or(v.Version, store.NullVersion))
	x.bool("IsLatest", v.Latest)
	x.time("LastModified", v.ModTime)
	if !v.IsMarker {
		x.etag(v.ETag)
		if a := v.Checksums.Any(); a != "" {
			x.elem("ChecksumAlgorithm", string(a))
			x.elem("ChecksumType", string(or(v.Checksums.Type, store.FullObject)))
		}
		x.int("Size", v.Size)
		x.elem("StorageClass", "STANDARD")
	}
	x.owner("Owner", owner)
	x.close(name)
}
