package access

// operation is one of the names that IAM has for what may be done with S3.
type operation struct {
	name   string
	action Action // that rules give it by, all of them together; 0 for none
	list   bool   // it is about the bucket, and may name a prefix
	bucket bool   // it is about the bucket
}

// operations are those that rules have words for.
var operations = []operation{
	{name: "s3:GetObject", action: Get},
	{name: "s3:PutObject", action: Write},
	{name: "s3:DeleteObject", action: Delete},
	{name: "s3:ListBucket", action: List, list: true},
	{name: "s3:DeleteObjectVersion", action: Delete | Versions},
	{name: "s3:ListBucketVersions", action: Versions, list: true},
}

// furtherOperations are the others. Those with an action may be granted where rules
// give that action.
var furtherOperations = []operation{
	{name: "s3:GetObjectAttributes", action: Get},
	{name: "s3:GetObjectTagging", action: Get},
	{name: "s3:GetObjectVersion", action: Get},
	{name: "s3:GetObjectVersionAttributes", action: Get},
	{name: "s3:GetObjectVersionTagging", action: Get},
	{name: "s3:AbortMultipartUpload", action: Write},
	{name: "s3:DeleteObjectTagging", action: Write},
	{name: "s3:ListMultipartUploadParts", action: Write},
	{name: "s3:PutObjectTagging", action: Write},

	{name: "s3:BypassGovernanceRetention"},
	{name: "s3:DeleteObjectVersionTagging"},
	{name: "s3:GetObjectAcl"},
	{name: "s3:GetObjectLegalHold"},
	{name: "s3:GetObjectRetention"},
	{name: "s3:GetObjectTorrent"},
	{name: "s3:GetObjectVersionAcl"},
	{name: "s3:GetObjectVersionForReplication"},
	{name: "s3:GetObjectVersionTorrent"},
	{name: "s3:InitiateReplication"},
	{name: "s3:ObjectOwnerOverrideToBucketOwner"},
	{name: "s3:PutObjectAcl"},
	{name: "s3:PutObjectLegalHold"},
	{name: "s3:PutObjectRetention"},
	{name: "s3:PutObjectVersionAcl"},
	{name: "s3:PutObjectVersionTagging"},
	{name: "s3:ReplicateDelete"},
	{name: "s3:ReplicateObject"},
	{name: "s3:ReplicateTags"},
	{name: "s3:RestoreObject"},

	{name: "s3:ListBucketMultipartUploads", list: true},

	{name: "s3:CreateBucket", bucket: true},
	{name: "s3:DeleteBucket", bucket: true},
	{name: "s3:DeleteBucketPolicy", bucket: true},
	{name: "s3:DeleteBucketWebsite", bucket: true},
	{name: "s3:GetAccelerateConfiguration", bucket: true},
	{name: "s3:GetAnalyticsConfiguration", bucket: true},
	{name: "s3:GetBucketAcl", bucket: true},
	{name: "s3:GetBucketCORS", bucket: true},
	{name: "s3:GetBucketLocation", bucket: true},
	{name: "s3:GetBucketLogging", bucket: true},
	{name: "s3:GetBucketNotification", bucket: true},
	{name: "s3:GetBucketObjectLockConfiguration", bucket: true},
	{name: "s3:GetBucketOwnershipControls", bucket: true},
	{name: "s3:GetBucketPolicy", bucket: true},
	{name: "s3:GetBucketPolicyStatus", bucket: true},
	{name: "s3:GetBucketPublicAccessBlock", bucket: true},
	{name: "s3:GetBucketRequestPayment", bucket: true},
	{name: "s3:GetBucketTagging", bucket: true},
	{name: "s3:GetBucketVersioning", bucket: true},
	{name: "s3:GetBucketWebsite", bucket: true},
	{name: "s3:GetEncryptionConfiguration", bucket: true},
	{name: "s3:GetIntelligentTieringConfiguration", bucket: true},
	{name: "s3:GetInventoryConfiguration", bucket: true},
	{name: "s3:GetLifecycleConfiguration", bucket: true},
	{name: "s3:GetMetricsConfiguration", bucket: true},
	{name: "s3:GetReplicationConfiguration", bucket: true},
	{name: "s3:PutAccelerateConfiguration", bucket: true},
	{name: "s3:PutAnalyticsConfiguration", bucket: true},
	{name: "s3:PutBucketAcl", bucket: true},
	{name: "s3:PutBucketCORS", bucket: true},
	{name: "s3:PutBucketLogging", bucket: true},
	{name: "s3:PutBucketNotification", bucket: true},
	{name: "s3:PutBucketObjectLockConfiguration", bucket: true},
	{name: "s3:PutBucketOwnershipControls", bucket: true},
	{name: "s3:PutBucketPolicy", bucket: true},
	{name: "s3:PutBucketPublicAccessBlock", bucket: true},
	{name: "s3:PutBucketRequestPayment", bucket: true},
	{name: "s3:PutBucketTagging", bucket: true},
	{name: "s3:PutBucketVersioning", bucket: true},
	{name: "s3:PutBucketWebsite", bucket: true},
	{name: "s3:PutEncryptionConfiguration", bucket: true},
	{name: "s3:PutIntelligentTieringConfiguration", bucket: true},
	{name: "s3:PutInventoryConfiguration", bucket: true},
	{name: "s3:PutLifecycleConfiguration", bucket: true},
	{name: "s3:PutMetricsConfiguration", bucket: true},
	{name: "s3:PutReplicationConfiguration", bucket: true},
}
