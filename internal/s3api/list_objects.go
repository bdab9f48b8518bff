package s3api

import "net/http"

func listObjects(c *call) error {
	q, err := c.listQuery("max-keys")
	if err != nil {
		return err
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	page, err := listPage(c.ctx, b, q, c.query.Get("marker"))
	if err != nil {
		return err
	}
	x := c.startList(q, page)
	x.key("Marker", c.query.Get("marker"))
	if page.More {
		x.key("NextMarker", page.Next)
	}
	endList(x, page, c.s.opts.OwnerID)
	return c.xml(http.StatusOK, x)
}
