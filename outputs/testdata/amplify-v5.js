import Amplify from 'aws-amplify';

Amplify.configure({
    Auth: {
        identityPoolId: 'eu-west-1:22222222-2222-4222-8222-222222222222', // required
        region: 'eu-west-1', // required
        userPoolId: 'eu-west-1_Manual1',
        userPoolWebClientId: 'manualclient',
        mandatorySignIn: true,
        signUpVerificationMethod: 'link',
        authenticationFlowType: 'USER_PASSWORD_AUTH',
        endpoint: 'https://users.example.com/',
        cookieStorage: { domain: '.example.com', secure: true },
        oauth: {
            domain: 'app.auth.eu-west-1.amazoncognito.com',
            scope: ['email', 'openid'],
            redirectSignIn: 'http://localhost:3000/,https://app.example.com/',
            redirectSignOut: 'https://app.example.com/out',
            responseType: 'token',
        },
    },
    Storage: {
        AWSS3: {
            bucket: 'app-manual-files', // required
            region: 'eu-central-1',
            level: 'public',
            customPrefix: { public: 'mine/' },
            dangerouslyConnectToHttpEndpointForTesting: true,
        },
    },
});
