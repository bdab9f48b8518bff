package s3api

import "net/http"

func listObjectsV2(c *call) error {
	q, err := c.listQuery("max-keys")
	if err != nil {
		return err
	}
	startAfter, next := c.query.Get("start-after"), c.query.Get("continuation-token")
	after := startAfter
	if c.query.Has("continuation-token") {
		if after, err = parseToken(next); err != nil {
			return err
		}
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	page, err := listPage(c.ctx, b, q, after)
	if err != nil {
		return err
	}
	x := c.startList(q, page)
	x.int("KeyCount", int64(len(page.Objects)+len(page.Prefixes)))
	x.some("ContinuationToken", next)
	if page.More {
		x.elem("NextContinuationToken", token(page.Next))
	}
	if startAfter != "" {
		x.key("StartAfter", startAfter)
	}
	owner := ""
	if c.query.Get("fetch-owner") == "true" {
		owner = c.s.opts.OwnerID
	}
	endList(x, page, owner)
	return c.xml(http.StatusOK, x)
}
