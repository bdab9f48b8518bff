package cognito

import "strings"

const (
	identityService = "AWSCognitoIdentityService."
	userService     = "AWSCognitoIdentityProviderService."
)

// operations returns the calls by x-amz-target.
func (h *Handler) operations() map[string]call {
	all := make(map[string]call)
	for name := range strings.FieldsSeq(otherIdentityOperations) {
		all[identityService+name] = nil
	}
	for name := range strings.FieldsSeq(otherUserOperations) {
		all[userService+name] = nil
	}
	all[identityService+"GetId"] = h.getID
	all[identityService+"GetCredentialsForIdentity"] = h.getCredentials
	all[identityService+"GetOpenIdToken"] = h.getOpenIDToken
	all[userService+"InitiateAuth"] = h.initiateAuth
	all[userService+"GetTokensFromRefreshToken"] = h.getTokens
	all[userService+"RevokeToken"] = h.revokeToken
	all[userService+"GetUser"] = h.getUser
	all[userService+"GlobalSignOut"] = h.globalSignOut
	return all
}

// The operations that the services have and this server has not, so that who
// calls one is told what is missing.
const (
	otherIdentityOperations = `
		CreateIdentityPool DeleteIdentities DeleteIdentityPool DescribeIdentity DescribeIdentityPool
		GetIdentityPoolRoles GetOpenIdTokenForDeveloperIdentity GetPrincipalTagAttributeMap ListIdentities
		ListIdentityPools ListTagsForResource LookupDeveloperIdentity MergeDeveloperIdentities
		SetIdentityPoolRoles SetPrincipalTagAttributeMap TagResource UnlinkDeveloperIdentity UnlinkIdentity
		UntagResource UpdateIdentityPool`

	otherUserOperations = `
		AddCustomAttributes AdminAddUserToGroup AdminConfirmSignUp AdminCreateUser AdminDeleteUser
		AdminDeleteUserAttributes AdminDisableProviderForUser AdminDisableUser AdminEnableUser
		AdminForgetDevice AdminGetDevice AdminGetUser AdminInitiateAuth AdminLinkProviderForUser
		AdminListDevices AdminListGroupsForUser AdminListUserAuthEvents AdminRemoveUserFromGroup
		AdminResetUserPassword AdminRespondToAuthChallenge AdminSetUserMFAPreference AdminSetUserPassword
		AdminSetUserSettings AdminUpdateAuthEventFeedback AdminUpdateDeviceStatus AdminUpdateUserAttributes
		AdminUserGlobalSignOut AssociateSoftwareToken ChangePassword CompleteWebAuthnRegistration
		ConfirmDevice ConfirmForgotPassword ConfirmSignUp CreateGroup CreateIdentityProvider
		CreateManagedLoginBranding CreateResourceServer CreateTerms CreateUserImportJob CreateUserPool
		CreateUserPoolClient CreateUserPoolDomain DeleteGroup DeleteIdentityProvider
		DeleteManagedLoginBranding DeleteResourceServer DeleteTerms DeleteUser DeleteUserAttributes
		DeleteUserPool DeleteUserPoolClient DeleteUserPoolDomain DeleteWebAuthnCredential
		DescribeIdentityProvider DescribeManagedLoginBranding DescribeManagedLoginBrandingByClient
		DescribeResourceServer DescribeRiskConfiguration DescribeTerms DescribeUserImportJob
		DescribeUserPool DescribeUserPoolClient DescribeUserPoolDomain ForgetDevice ForgotPassword
		GetCSVHeader GetDevice GetGroup GetIdentityProviderByIdentifier GetLogDeliveryConfiguration
		GetSigningCertificate GetUICustomization GetUserAttributeVerificationCode GetUserAuthFactors
		GetUserPoolMfaConfig ListDevices ListGroups ListIdentityProviders ListResourceServers
		ListTagsForResource ListTerms ListUserImportJobs ListUserPoolClients ListUserPools ListUsers
		ListUsersInGroup ListWebAuthnCredentials ResendConfirmationCode RespondToAuthChallenge
		SetLogDeliveryConfiguration SetRiskConfiguration SetUICustomization SetUserMFAPreference
		SetUserPoolMfaConfig SetUserSettings SignUp StartUserImportJob StartWebAuthnRegistration
		StopUserImportJob TagResource UntagResource UpdateAuthEventFeedback UpdateDeviceStatus UpdateGroup
		UpdateIdentityProvider UpdateManagedLoginBranding UpdateResourceServer UpdateTerms
		UpdateUserAttributes UpdateUserPool UpdateUserPoolClient UpdateUserPoolDomain VerifySoftwareToken
		VerifyUserAttribute`
)
