package s3api

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/store"
)

func copyObject(c *call) error {
	src, err := c.source()
	if err != nil {
		return err
	}
	opts, err := c.copyOptions()
	if err != nil {
		return err
	}
	opts.Version = src.version
	if src == (source{target: c.target}) && !opts.Replace && opts.Put.SSE.IsZero() && opts.SourceKey == nil {
		return newError("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if c.size() > 0 {
		return newError("InvalidRequest", "A copy has no content of its own.")
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	if src.bucket != c.target.bucket {
		if opts.From, err = c.view.Bucket(c.ctx, src.bucket); err != nil {
			return err
		}
	}
	info, err := b.Copy(c.ctx, c.target.key, src.key, opts)
	if err != nil {
		return err
	}
	c.tellVersion(info)
	set(c.w.Header(), "X-Amz-Copy-Source-Version-Id", src.version)
	setSSE(c.w.Header(), &info.SSE)
	x := newXML()
	x.root("CopyObjectResult")
	x.time("LastModified", info.ModTime)
	x.etag(info.ETag)
	x.checksums(&info.Checksums)
	if info.Checksums.Any() != "" {
		x.elem("ChecksumType", string(or(info.Checksums.Type, store.FullObject)))
	}
	x.close("CopyObjectResult")
	return c.xml(http.StatusOK, x)
}

// copyOptions reads the headers of CopyObject.
func (c *call) copyOptions() (*store.CopyOptions, error) {
	put, err := c.putOptions()
	if err != nil {
		return nil, err
	}
	if put.IfMatch, put.IfNoneMatch, err = c.writeConditions(); err != nil {
		return nil, err
	}
	if put.Algorithm, err = c.algorithm("x-amz-checksum-algorithm"); err != nil {
		return nil, err
	}
	opts := &store.CopyOptions{Put: *put}
	if opts.Source, err = c.sourceConditions(); err != nil {
		return nil, err
	}
	if opts.SourceKey, err = c.customerKey(sourceKey); err != nil {
		return nil, err
	}
	if opts.Replace, err = c.directive("x-amz-metadata-directive"); err != nil {
		return nil, err
	}
	opts.ReplaceTags, err = c.directive("x-amz-tagging-directive")
	return opts, err
}

// directive reports whether the header called name says REPLACE, not COPY.
func (c *call) directive(name string) (bool, error) {
	v := c.value(name)
	switch v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	kind := strings.TrimSuffix(strings.TrimPrefix(name, "x-amz-"), "-directive")
	return false, badArgument(name, v, "Unknown "+kind+" directive.")
}

// sourceConditions are those on the source of a copy. Here a date that cannot be
// read is refused: to copy what was to be left alone is worse than not to copy.
func (c *call) sourceConditions() (store.Conditions, error) {
	const prefix = "x-amz-copy-source-"
	cond := store.Conditions{
		IfMatch:     etags(c.value(prefix + "if-match")),
		IfNoneMatch: weakly(etags(c.value(prefix + "if-none-match"))),
	}
	for _, d := range []struct {
		name string
		to   *time.Time
	}{
		{prefix + "if-modified-since", &cond.IfModifiedSince},
		{prefix + "if-unmodified-since", &cond.IfUnmodifiedSince},
	} {
		v := c.value(d.name)
		if v == "" {
			continue
		}
		t, err := http.ParseTime(v)
		if err != nil {
			t, err = time.Parse(time.RFC3339, v)
		}
		if err != nil {
			return cond, newError("InvalidArgument", d.name+" is not a date.")
		}
		*d.to = t
	}
	return cond, nil
}

// source is what a copy is made of.
type source struct {
	target
	version string // "" is the current one
}

// source returns what the header x-amz-copy-source names.
func (c *call) source() (source, error) {
	src, err := parseSource(c.value("x-amz-copy-source"))
	if err != nil {
		return source{}, err
	}
	return src, src.check()
}

// parseSource reads "bucket/key" or "/bucket/key", and "?versionId=" behind it. Some
// clients encode it, some send it as it is: it is decoded once, and taken as it is if
// that cannot be done. Those that send it as it is may have done so in Latin-1.
func parseSource(s string) (source, error) {
	s, version, ok := strings.Cut(sigv4.HeaderText(s), "?versionId=")
	if ok {
		if plain, err := url.PathUnescape(version); err == nil {
			version = plain
		}
		if err := checkVersion("versionId", version); err != nil {
			return source{}, err
		}
	}
	if plain, err := url.PathUnescape(s); err == nil {
		s = plain
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(s, "/"), "/")
	if bucket == "" || key == "" {
		return source{}, newError("InvalidArgument", "x-amz-copy-source must name a bucket and a key.")
	}
	return source{target{bucket, key}, version}, nil
}
