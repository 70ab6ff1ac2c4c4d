// A real OpenID Connect provider for the tests: npm's oidc-provider, whose users are whoever signs in.
// `node provider.mjs ISSUER HOME [CERTIFICATE KEY]` listens at the port of the issuer, and says so; HOME is where the program is. What is entered as the
// login is the name; the groups of NAME+a+b are a and b. Any password will do.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createServer as createSecureServer } from "node:https";
import { Provider } from "oidc-provider";

const [issuer, home, certificate, key] = process.argv.slice(2);
const CLIENT = { id: "vms", secret: "a secret of the tests" };

const account = (id) => {
  const [name, ...groups] = id.split("+");
  return {
    accountId: id,
    claims: () => ({ sub: name, preferred_username: name, email: `${name}@example.com`, email_verified: true, groups }),
  };
};

const provider = new Provider(issuer, {
  clients: [{
    client_id: CLIENT.id,
    client_secret: CLIENT.secret,
    // Of the program itself, and of an oauth2-proxy in front of it.
    redirect_uris: [`${home}/auth/oidc/callback`, `${home}/oauth2/callback`],
    grant_types: ["authorization_code", "refresh_token"],
    post_logout_redirect_uris: [`${home}/auth/sign-in?signed-out=1`],
    token_endpoint_auth_method: "client_secret_basic",
  }],
  // Otherwise claims of scopes are in the user info alone.
  conformIdTokenClaims: false,
  scopes: ["openid", "profile", "email", "groups", "offline_access"],
  issueRefreshToken: async () => true,
  claims: { openid: ["sub"], profile: ["preferred_username"], email: ["email", "email_verified"], groups: ["groups"] },
  pkce: { required: () => true },
  cookies: { keys: ["of these tests"] },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_, id) => account(id),
  // Nobody is asked for a consent.
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({ clientId: context.oidc.client.clientId, accountId: context.oidc.session.accountId });
    grant.addOIDCScope("openid profile email groups offline_access");
    await grant.save();
    return grant;
  },
});

const { port, hostname } = new URL(issuer);
const handler = provider.callback();
const server = certificate
  ? createSecureServer({ cert: readFileSync(certificate), key: readFileSync(key) }, handler)
  : createServer(handler);
server.listen(Number(port), hostname, () => console.log("ready"));
