package s3api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cubby-storage/cubby/store"
)

// operation is a row of the table that says what the server can do.
type operation struct {
	name   string // in the S3 API
	method string
	level  level
	query  []string // parameters that choose it; "a=b" with that value only
	header string   // x-amz- header that chooses it, or ""
	params []string // other sub-resources that it may be asked with
	heeds  []string // x-amz- headers that it knows, besides those that all know
	form   bool     // it takes a browser form; whoever signed one may ask for nothing else
	serve  func(*call) error
}

// The x-amz- headers of a group of operations.
var (
	checksumValues = []string{"x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1", "x-amz-checksum-sha256"}
	contentHeaders = append(slices.Clip(checksumValues), "x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-type")
	objectHeaders  = append(append(slices.Clip(contentHeaders), "x-amz-acl", "x-amz-storage-class", "x-amz-tagging"), sseHeaders...)
	readHeaders    = append(slices.Clip(keyHeaders), "x-amz-checksum-mode")
	sourceHeaders  = append(slices.Clip(sourceKeyHeaders),
		"x-amz-copy-source", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match",
		"x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since", "x-amz-source-expected-bucket-owner",
	)
	copyHeaders = append(append(slices.Clip(sourceHeaders), objectHeaders...), "x-amz-metadata-directive", "x-amz-tagging-directive")
)

// operations is the table. Of several rows that fit a request the first counts.
var operations = []operation{
	{name: "ListBuckets", method: http.MethodGet, level: serviceLevel, serve: listBuckets},
	{name: "DeleteObjects", method: http.MethodPost, level: serviceLevel, query: []string{"delete"}, heeds: contentHeaders, serve: deleteObjectsSomewhere},

	{name: "HeadBucket", method: http.MethodHead, level: bucketLevel, serve: headBucket},
	{name: "GetBucketLocation", method: http.MethodGet, level: bucketLevel, query: []string{"location"}, serve: getBucketLocation},
	{name: "GetBucketVersioning", method: http.MethodGet, level: bucketLevel, query: []string{"versioning"}, serve: getBucketVersioning},
	{name: "PutBucketVersioning", method: http.MethodPut, level: bucketLevel, query: []string{"versioning"}, heeds: contentHeaders, serve: putBucketVersioning},
	{name: "ListObjectVersions", method: http.MethodGet, level: bucketLevel, query: []string{"versions"}, serve: listObjectVersions},
	{name: "GetBucketAcl", method: http.MethodGet, level: bucketLevel, query: []string{"acl"}, serve: getBucketACL},
	{name: "GetBucketCors", method: http.MethodGet, level: bucketLevel, query: []string{"cors"}, serve: getBucketCORS},
	{name: "GetBucketAccelerateConfiguration", method: http.MethodGet, level: bucketLevel, query: []string{"accelerate"}, serve: preset("AccelerateConfiguration", "")},
	{name: "GetBucketEncryption", method: http.MethodGet, level: bucketLevel, query: []string{"encryption"}, serve: notSet("ServerSideEncryptionConfigurationNotFoundError")},
	{name: "GetBucketLifecycleConfiguration", method: http.MethodGet, level: bucketLevel, query: []string{"lifecycle"}, serve: notSet("NoSuchLifecycleConfiguration")},
	{name: "GetBucketLogging", method: http.MethodGet, level: bucketLevel, query: []string{"logging"}, serve: preset("BucketLoggingStatus", "")},
	{name: "GetBucketNotificationConfiguration", method: http.MethodGet, level: bucketLevel, query: []string{"notification"}, serve: preset("NotificationConfiguration", "")},
	{name: "GetBucketOwnershipControls", method: http.MethodGet, level: bucketLevel, query: []string{"ownershipControls"}, serve: preset("OwnershipControls", "BucketOwnerEnforced", "Rule", "ObjectOwnership")},
	{name: "GetBucketPolicy", method: http.MethodGet, level: bucketLevel, query: []string{"policy"}, serve: notSet("NoSuchBucketPolicy")},
	{name: "GetBucketPolicyStatus", method: http.MethodGet, level: bucketLevel, query: []string{"policyStatus"}, serve: notSet("NoSuchBucketPolicy")},
	{name: "GetBucketReplication", method: http.MethodGet, level: bucketLevel, query: []string{"replication"}, serve: notSet("ReplicationConfigurationNotFoundError")},
	{name: "GetBucketRequestPayment", method: http.MethodGet, level: bucketLevel, query: []string{"requestPayment"}, serve: preset("RequestPaymentConfiguration", "BucketOwner", "Payer")},
	{name: "GetBucketTagging", method: http.MethodGet, level: bucketLevel, query: []string{"tagging"}, serve: notSet("NoSuchTagSet")},
	{name: "GetBucketWebsite", method: http.MethodGet, level: bucketLevel, query: []string{"website"}, serve: notSet("NoSuchWebsiteConfiguration")},
	{name: "GetObjectLockConfiguration", method: http.MethodGet, level: bucketLevel, query: []string{"object-lock"}, serve: notSet("ObjectLockConfigurationNotFoundError")},
	{name: "GetPublicAccessBlock", method: http.MethodGet, level: bucketLevel, query: []string{"publicAccessBlock"}, serve: notSet("NoSuchPublicAccessBlockConfiguration")},
	{name: "ListMultipartUploads", method: http.MethodGet, level: bucketLevel, query: []string{"uploads"}, serve: listMultipartUploads},
	{name: "ListObjectsV2", method: http.MethodGet, level: bucketLevel, query: []string{"list-type=2"}, serve: listObjectsV2},
	{name: "ListObjects", method: http.MethodGet, level: bucketLevel, serve: listObjects},
	{name: "PutBucketAcl", method: http.MethodPut, level: bucketLevel, query: []string{"acl"}, heeds: append(slices.Clip(contentHeaders), "x-amz-acl"), serve: putBucketACL},
	{name: "PutBucketCors", method: http.MethodPut, level: bucketLevel, query: []string{"cors"}, heeds: contentHeaders, serve: putBucketCORS},
	{name: "DeleteBucketCors", method: http.MethodDelete, level: bucketLevel, query: []string{"cors"}, serve: deleteBucketCORS},
	{name: "CreateBucket", method: http.MethodPut, level: bucketLevel, heeds: []string{"x-amz-acl", "x-amz-object-ownership", "x-amz-bucket-object-lock-enabled"}, serve: createBucket},
	{name: "DeleteBucket", method: http.MethodDelete, level: bucketLevel, serve: deleteBucket},
	{name: "DeleteObjects", method: http.MethodPost, level: bucketLevel, query: []string{"delete"}, heeds: append(slices.Clip(contentHeaders), "x-amz-bypass-governance-retention"), serve: deleteObjects},
	{name: "PostObject", method: http.MethodPost, level: bucketLevel, form: true, serve: postObject},

	{name: "HeadObject", method: http.MethodHead, level: objectLevel, params: []string{"partNumber", "versionId"}, heeds: readHeaders, serve: headObject},
	{name: "ListParts", method: http.MethodGet, level: objectLevel, query: []string{"uploadId"}, serve: listParts},
	{name: "GetObjectAcl", method: http.MethodGet, level: objectLevel, query: []string{"acl"}, params: []string{"versionId"}, serve: getObjectACL},
	{name: "GetObjectTagging", method: http.MethodGet, level: objectLevel, query: []string{"tagging"}, params: []string{"versionId"}, serve: getObjectTagging},
	{name: "GetObjectAttributes", method: http.MethodGet, level: objectLevel, query: []string{"attributes"}, params: []string{"versionId"}, heeds: append(slices.Clip(keyHeaders), "x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"), serve: getObjectAttributes},
	{name: "GetObject", method: http.MethodGet, level: objectLevel, params: []string{"partNumber", "versionId"}, heeds: readHeaders, serve: getObject},
	{name: "UploadPartCopy", method: http.MethodPut, level: objectLevel, query: []string{"partNumber", "uploadId"}, header: "x-amz-copy-source", heeds: append(append(slices.Clip(sourceHeaders), sseHeaders...), "x-amz-copy-source-range"), serve: uploadPartCopy},
	{name: "UploadPart", method: http.MethodPut, level: objectLevel, query: []string{"partNumber", "uploadId"}, heeds: append(slices.Clip(contentHeaders), keyHeaders...), serve: uploadPart},
	{name: "PutObjectAcl", method: http.MethodPut, level: objectLevel, query: []string{"acl"}, params: []string{"versionId"}, heeds: append(slices.Clip(contentHeaders), "x-amz-acl"), serve: putObjectACL},
	{name: "PutObjectTagging", method: http.MethodPut, level: objectLevel, query: []string{"tagging"}, params: []string{"versionId"}, heeds: contentHeaders, serve: putObjectTagging},
	{name: "CopyObject", method: http.MethodPut, level: objectLevel, header: "x-amz-copy-source", heeds: copyHeaders, serve: copyObject},
	{name: "PutObject", method: http.MethodPut, level: objectLevel, heeds: objectHeaders, serve: putObject},
	{name: "CreateMultipartUpload", method: http.MethodPost, level: objectLevel, query: []string{"uploads"}, heeds: objectHeaders, serve: createMultipartUpload},
	{name: "CompleteMultipartUpload", method: http.MethodPost, level: objectLevel, query: []string{"uploadId"}, heeds: append(append(slices.Clip(contentHeaders), sseHeaders...), "x-amz-mp-object-size"), serve: completeMultipartUpload},
	{name: "AbortMultipartUpload", method: http.MethodDelete, level: objectLevel, query: []string{"uploadId"}, serve: abortMultipartUpload},
	{name: "DeleteObjectTagging", method: http.MethodDelete, level: objectLevel, query: []string{"tagging"}, params: []string{"versionId"}, serve: deleteObjectTagging},
	{name: "DeleteObject", method: http.MethodDelete, level: objectLevel, params: []string{"versionId"}, heeds: []string{"x-amz-bypass-governance-retention"}, serve: deleteObject},
}

// subresources are the parameters that make another operation of a request. One
// that the chosen row does not name is not implemented, in whatever case it is
// written: who asks for "uploadid" does not mean the object.
var subresources = map[string]bool{
	"abac": true, "accelerate": true, "acl": true, "analytics": true, "append": true, "attributes": true, "cors": true, "delete": true,
	"encryption": true, "events": true, "intelligent-tiering": true, "inventory": true, "legal-hold": true, "lifecycle": true,
	"location": true, "logging": true, "metadataConfiguration": true, "metadataInventoryTable": true, "metadataJournalTable": true,
	"metadataTable": true, "metrics": true, "notification": true, "object-lock": true, "ownershipControls": true, "partNumber": true,
	"policy": true, "policyStatus": true, "publicAccessBlock": true, "renameObject": true, "replication": true, "requestPayment": true,
	"restore": true, "retention": true, "select": true, "select-type": true, "session": true, "tagging": true, "torrent": true,
	"uploadId": true, "uploads": true, "versionId": true, "versioning": true, "versions": true, "website": true,
}

// isSubresource reports whether name is that of a sub-resource, in any case.
func isSubresource(name string) bool {
	return lowerSubresources[strings.ToLower(name)]
}

// lowerSubresources are subresources in lower case: a name that is none of them, as
// almost all are, is found to be so without a look at each.
var lowerSubresources = func() map[string]bool {
	lower := map[string]bool{}
	for name := range subresources {
		lower[strings.ToLower(name)] = true
	}
	return lower
}()

// fits reports whether c asks for op.
func (op *operation) fits(c *call) bool {
	if op.method != c.r.Method || op.level != c.target.level() || op.form != (c.form != nil) {
		return false
	}
	for _, q := range op.query {
		name, value, exact := strings.Cut(q, "=")
		if !c.query.Has(name) || exact && c.query.Get(name) != value {
			return false
		}
	}
	return op.header == "" || c.has(op.header)
}

// names reports whether param may stand in the query of op.
func (op *operation) names(param string) bool {
	return op != nil && (slices.Contains(op.query, param) || slices.Contains(op.params, param))
}

// choose finds the row that c asks for.
func (c *call) choose() error {
	var op *operation
	for i := range operations {
		if operations[i].fits(c) {
			op = &operations[i]
			break
		}
	}
	for name, values := range c.query {
		if isSubresource(name) && !op.names(name) && name != "versionId" {
			return newError("NotImplemented", "").with("additionalMessage", "This sub-resource is not implemented for "+c.r.Method+".")
		}
		// A parameter without a value that nobody knows may ask for anything.
		// Only one with a dot is known to be sent by mistake.
		if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead && values[0] == "" &&
			!op.names(name) && !harmless[name] && !strings.Contains(name, ".") && !isAmz(name) {
			return newError("NotImplemented", "This query parameter is not implemented.")
		}
	}
	if op == nil {
		switch c.r.Method {
		case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
			return newError("MethodNotAllowed", "")
		}
		return newError("NotImplemented", "")
	}
	if t := c.query.Get("list-type"); t != "" && t != "1" && t != "2" && op.name == "ListObjects" {
		return newError("InvalidArgument", "list-type must be 1 or 2.")
	}
	if v := c.query.Get("versionId"); v != "" && !op.names("versionId") && (v != store.NullVersion || op.level == objectLevel) {
		return newError("InvalidArgument", "This operation does not take the id of a version.")
	}
	c.op = op
	return nil
}

// harmless are parameters that ask for nothing, even without a value.
var harmless = map[string]bool{"x-id": true, "versionId": true, "cache-control": true, "content-disposition": true, "content-type": true}

// parseQuery reads the query once, strictly.
func (c *call) parseQuery() error {
	if c.r.URL.RawQuery == "" {
		return nil
	}
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return newError("InvalidURI", "The query cannot be parsed.")
	}
	for name, values := range c.query {
		if len(values) > 1 {
			return newError("InvalidArgument", "A query parameter occurs more than once.")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return newError("InvalidURI", "The query is not valid UTF-8.")
		}
		if !isAmz(name) {
			continue
		}
		lower := strings.ToLower(name)
		if _, ok := c.amz[lower]; ok {
			return newError("InvalidArgument", "A query parameter occurs more than once.")
		}
		if c.amz == nil {
			c.amz = make(map[string]string)
		}
		c.amz[lower] = values[0]
	}
	return nil
}

// isAmz reports whether name is that of an x-amz- header, in any case.
func isAmz(name string) bool {
	const prefix = "x-amz-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}
