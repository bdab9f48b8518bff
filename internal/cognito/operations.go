package cognito

import (
	"net/http"
	"strings"

	"github.com/cubby-storage/cubby/internal/identity"
)

const (
	identityService = "AWSCognitoIdentityService."
	userService     = "AWSCognitoIdentityProviderService."
)

// operation is what an x-amz-target names.
type operation struct {
	// do returns the JSON of the answer. It is nil for an operation that is
	// known and not supported.
	do func(r *http.Request, m message) (any, error)

	// limit is of the calls from one address, whatever is in them: each costs
	// work before it is known who calls.
	limit *identity.Limiter
}

// operations returns the operations by x-amz-target.
func (h *Handler) operations() map[string]operation {
	all := make(map[string]operation)
	for name := range strings.FieldsSeq(otherIdentityOperations) {
		all[identityService+name] = operation{}
	}
	for name := range strings.FieldsSeq(otherUserOperations) {
		all[userService+name] = operation{}
	}
	o := &h.opts
	checks := identity.NewLimiter(o.CredentialsRate, o.CredentialsBurst)
	openIDs := identity.NewLimiter(o.OpenIDRate, o.OpenIDBurst)
	signIns := identity.NewLimiter(o.SignInRate, o.SignInBurst)
	all[identityService+"GetId"] = operation{h.getID, checks}
	all[identityService+"GetCredentialsForIdentity"] = operation{h.getCredentials, checks}
	all[identityService+"GetOpenIdToken"] = operation{h.getOpenIDToken, openIDs}
	all[userService+"InitiateAuth"] = operation{h.initiateAuth, signIns}
	all[userService+"GetTokensFromRefreshToken"] = operation{h.getTokens, signIns}
	all[userService+"RevokeToken"] = operation{h.revokeToken, checks}
	all[userService+"GetUser"] = operation{h.getUser, checks}
	all[userService+"GlobalSignOut"] = operation{h.globalSignOut, checks}
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
