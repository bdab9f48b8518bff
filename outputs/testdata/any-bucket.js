import { Amplify } from "aws-amplify";

Amplify.configure({
  Auth: {
    Cognito: {
      userPoolId: "eu-west-1_Existing1",
      userPoolClientId: "client1",
      identityPoolId: "eu-west-1:00000000-0000-4000-8000-000000000001",
      allowGuestAccess: true,
    },
  },
  Storage: {
    S3: {
      bucket: "default-bucket",
      region: "eu-west-1",
      // default bucket metadata should be duplicated below with any additional buckets
      buckets: {
        "default bucket": {
          bucketName: "default-bucket",
          region: "eu-west-1",
          paths: {
            "public/*": {
              guest: ["get", "list"],
              authenticated: ["get", "list", "write", "delete"],
              groupsadmin: ["get", "list", "write", "delete"],
            },
            "protected/*": {
              guest: ["get", "list"],
              authenticated: ["get", "list"],
              groupsadmin: ["get", "list", "write", "delete"],
            },
            "protected/${cognito-identity.amazonaws.com:sub}/*": {
              entityidentity: ["get", "list", "write", "delete"],
            },
            "admin/*": {
              authenticated: ["get", "list"],
              groupsadmin: ["get", "list", "write", "delete"],
            },
          },
        },
        "additional bucket": {
          bucketName: "additional-bucket",
          region: "us-west-2",
          paths: {
            // ...
          },
        },
      },
    },
  },
});
