package s3api

import (
	"net/http"
	"strings"
)

func listBuckets(c *call) error {
	limit, err := c.number("max-buckets", 10_000, 1, 10_000)
	if err != nil {
		return badArgument("max-buckets", c.query.Get("max-buckets"), "Argument max-buckets must be an integer between 1 and 10000.")
	}
	prefix, after := c.query.Get("prefix"), ""
	if t := c.query.Get("continuation-token"); t != "" {
		if after, err = parseToken(t); err != nil {
			return err
		}
	}
	list, err := c.view.Buckets(c.ctx)
	if err != nil {
		return err
	}
	x := newXML()
	x.root("ListAllMyBucketsResult")
	x.owner("Owner", c.s.opts.OwnerID)
	x.open("Buckets")
	n, last := 0, ""
	for _, b := range list {
		if b.Name <= after || !strings.HasPrefix(b.Name, prefix) {
			continue
		}
		if n++; n > limit {
			break
		}
		last = b.Name
		x.open("Bucket")
		x.elem("Name", b.Name)
		x.time("CreationDate", b.Created)
		x.elem("BucketRegion", c.s.opts.Region)
		x.close("Bucket")
	}
	x.close("Buckets")
	x.some("Prefix", prefix)
	if n > limit {
		x.elem("ContinuationToken", token(last))
	}
	x.close("ListAllMyBucketsResult")
	return c.xml(http.StatusOK, x)
}
