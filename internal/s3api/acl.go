package s3api

import (
	"encoding/xml"
	"net/http"
	"slices"

	"github.com/cubby-storage/cubby/store"
)

// Access control lists are switched off, as S3 has them for buckets whose owner owns
// every object: the one list there is gives the owner everything.

// cannedACLs are the values of x-amz-acl.
var cannedACLs = []string{"private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control", "log-delivery-write"}

// checkACL reports whether acl gives no more than everybody has anyway.
func (c *call) checkACL(acl string) error {
	switch {
	case acl == "private", acl == "bucket-owner-full-control" && (c.target.level() == objectLevel || c.form != nil):
		return nil
	case slices.Contains(cannedACLs, acl):
		return newError("AccessControlListNotSupported", "")
	}
	return newError("InvalidArgument", "x-amz-acl has an unknown value.")
}

func getBucketACL(c *call) error {
	if err := c.view.Operate(c.ctx, "get acl of", c.target.bucket); err != nil {
		return err
	}
	return c.ownersACL()
}

func getObjectACL(c *call) error {
	if _, err := c.exists(); err != nil {
		return err
	}
	return c.ownersACL()
}

// exists returns the version that the request names, and an error if it or the
// object is not there. It takes no key of a customer, as ACLs do not.
func (c *call) exists() (version string, err error) {
	if version, err = c.version(); err != nil {
		return "", err
	}
	b, err := c.bucket()
	if err != nil {
		return "", err
	}
	if _, err := b.Tags(c.ctx, c.target.key, &store.GetOptions{Version: version}); err != nil {
		return "", err
	}
	set(c.w.Header(), "X-Amz-Version-Id", version)
	return version, nil
}

// ownersACL sends the list that gives the owner everything.
func (c *call) ownersACL() error {
	x := newXML()
	x.root("AccessControlPolicy")
	x.owner("Owner", c.s.opts.OwnerID)
	x.open("AccessControlList")
	x.open("Grant")
	x.b = append(x.b, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
	x.elem("ID", c.s.opts.OwnerID)
	x.elem("DisplayName", c.s.opts.OwnerID)
	x.close("Grantee")
	x.elem("Permission", "FULL_CONTROL")
	x.close("Grant")
	x.close("AccessControlList")
	x.close("AccessControlPolicy")
	return c.xml(http.StatusOK, x)
}

// aclRequest is the list of PutBucketAcl and PutObjectAcl.
type aclRequest struct {
	XMLName xml.Name `xml:"AccessControlPolicy"`
	Grants  []struct {
		ID         string `xml:"Grantee>ID"`
		Permission string `xml:"Permission"`
	} `xml:"AccessControlList>Grant"`
}

func putBucketACL(c *call) error {
	if err := c.view.Operate(c.ctx, "set acl of", c.target.bucket); err != nil {
		return err
	}
	return c.putACL()
}

func putObjectACL(c *call) error {
	if err := c.view.Operate(c.ctx, "set acl of", c.target.bucket); err != nil {
		return err
	}
	if _, err := c.exists(); err != nil {
		return err
	}
	return c.putACL()
}

// putACL takes the one list that there is already.
func (c *call) putACL() error {
	text, err := c.document(maxBucketBody, false)
	if err != nil {
		return err
	}
	switch {
	case len(text) > 0 && c.has("x-amz-acl"):
		return newError("InvalidRequest", "There may be an x-amz-acl or a list, but not both.")
	case len(text) > 0:
		var req aclRequest
		if err := readXML(text, &req); err != nil {
			return err
		}
		if g := req.Grants; len(g) != 1 || g[0].ID != c.s.opts.OwnerID || g[0].Permission != "FULL_CONTROL" {
			return newError("AccessControlListNotSupported", "")
		}
	case !c.has("x-amz-acl"): // whose value was looked at before
		return newError("InvalidRequest", "The request has neither an x-amz-acl nor a list.")
	}
	c.header(http.StatusOK)
	return nil
}
