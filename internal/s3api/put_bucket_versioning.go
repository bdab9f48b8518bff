package s3api

import (
	"encoding/xml"
	"net/http"

	"github.com/cubby-storage/cubby/store"
)

// versioningRequest is the settings of PutBucketVersioning.
type versioningRequest struct {
	XMLName   xml.Name `xml:"VersioningConfiguration"`
	Status    string   `xml:"Status"`
	MFADelete string   `xml:"MfaDelete"`
}

func putBucketVersioning(c *call) error {
	// Who may not do it need not send the settings.
	if err := c.view.Operate(c.ctx, "set versioning of", c.target.bucket); err != nil {
		return err
	}
	text, err := c.document(maxBucketBody, false)
	if err != nil {
		return err
	}
	var req versioningRequest
	if err := readXML(text, &req); err != nil {
		return err
	}
	switch req.MFADelete {
	case "", "Disabled":
	case "Enabled":
		return newError("NotImplemented", "MfaDelete is not implemented.")
	default:
		return malformed("MfaDelete must be Enabled or Disabled.")
	}
	v := store.Versioning(req.Status)
	switch v {
	case store.Enabled, store.Suspended:
	case "":
		return newError("IllegalVersioningConfigurationException", "")
	default:
		return malformed("Status must be Enabled or Suspended.")
	}
	b, err := c.bucket()
	if err != nil {
		return err
	}
	if err := b.SetVersioning(c.ctx, v); err != nil {
		return err
	}
	c.header(http.StatusOK)
	return nil
}
