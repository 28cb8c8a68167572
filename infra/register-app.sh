#!/usr/bin/env bash
# Registers the sync as an application in Entra ID, or brings its registration up to date. Running it again changes nothing.
#
#   infra/register-app.sh [--name NAME] [--client-id ID] [--base-url URL] [--identity-principal-id ID]
#
#   --name                   what people read when they sign in; the registration is found by it (default: "Email sync")
#   --client-id              the registration itself, where several have that name
#   --base-url               where the app is reached from outside: adds its redirect address; others stay
#   --identity-principal-id  object id of the app's managed identity: the application trusts it from now on, so that it needs no secret
#
# Needs the Azure CLI, signed in (az login) as somebody who may register applications in this tenant: the tenant that the managed
# identity is in. Prints the application's client id, and on standard error what it does. Entra ID takes some seconds to tell all of its
# servers of a new registration: where it says that the application does not exist, run the script again.
set -euo pipefail

name='Email sync'
client_id=''
base_url=''
identity=''

fail() {
  echo "register-app.sh: $1" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in --name | --client-id | --base-url | --identity-principal-id) ;; *) fail "unknown argument: $1" ;; esac
  [ -n "${2:-}" ] || fail "$1 needs a value"
  case $1 in
  --name) name=$2 ;;
  --client-id) client_id=$2 ;;
  --base-url) base_url=${2%/} ;;
  --identity-principal-id) identity=$2 ;;
  esac
  shift 2
done
case $base_url in '' | https://*) ;; *) fail "--base-url must begin with https://" ;; esac
case $name in *"'"*) fail "--name can't have a quote in it" ;; esac

# Microsoft Graph, and its delegated permissions (https://learn.microsoft.com/graph/permissions-reference). Mail.ReadWrite, Mail.Send and
# User.Read are what the app asks for; MSAL adds the other three to every sign-in. They are registered too, so that the consent of an
# administrator covers all of what is asked for, and no user is asked again.
access=''
while read -r _name id; do
  access+="${access:+, }{\"type\": \"Scope\", \"id\": \"$id\"}"
done <<'PERMISSIONS'
Mail.ReadWrite 024d486e-b451-40bb-833d-3e66d98c5c73
Mail.Send      e383f46e-2787-4529-855e-0e479a3ffac0
User.Read      e1fe6dd8-ba31-4d61-89e7-88639da4683d
offline_access 7427e0e9-2fba-42fe-b0c0-848c9e6a8182
openid         37f7f235-527c-4136-accd-4a02d197296e
profile        14dad69e-099b-42c9-810b-d002981feec1
PERMISSIONS
permissions="[{\"resourceAppId\": \"00000003-0000-0000-c000-000000000000\", \"resourceAccess\": [$access]}]"

if [ -z "$client_id" ]; then
  client_id=$(az ad app list --filter "displayName eq '$name'" --query '[].appId' --output tsv)
  [ "$(printf '%s' "$client_id" | grep -c .)" -le 1 ] || fail "several applications are called $name: say which with --client-id"
fi
if [ -z "$client_id" ]; then
  echo "Registering $name" >&2
  client_id=$(az ad app create --display-name "$name" --sign-in-audience AzureADMultipleOrgs --query appId --output tsv)
fi

echo "Permissions, and accounts of every organisation" >&2
az ad app update --id "$client_id" --sign-in-audience AzureADMultipleOrgs --required-resource-accesses "$permissions" \
  --enable-id-token-issuance false --enable-access-token-issuance false --output none

if [ -z "$(az ad sp list --filter "appId eq '$client_id'" --query '[].id' --output tsv)" ]; then
  echo "The application's place in this tenant (service principal)" >&2
  az ad sp create --id "$client_id" --output none
fi

if [ -n "$base_url" ]; then
  redirect="$base_url/oauth/callback"
  known=$(az ad app show --id "$client_id" --query 'web.redirectUris[]' --output tsv)
  addresses=()
  while IFS= read -r address; do
    [ -z "$address" ] || addresses+=("$address")
  done <<<"$known"
  case " ${addresses[*]-} " in
  *" $redirect "*) ;;
  *)
    echo "Redirect address $redirect" >&2
    az ad app update --id "$client_id" --web-redirect-uris ${addresses[@]+"${addresses[@]}"} "$redirect" --output none
    ;;
  esac
fi

if [ -n "$identity" ]; then
  known=$(az ad app federated-credential list --id "$client_id" --query "[?subject=='$identity'].name" --output tsv)
  if [ -z "$known" ]; then
    echo "Trust in the managed identity $identity" >&2
    tenant=$(az account show --query tenantId --output tsv)
    # https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    az ad app federated-credential create --id "$client_id" --output none --parameters "{
      \"name\": \"identity-$identity\",
      \"issuer\": \"https://login.microsoftonline.com/$tenant/v2.0\",
      \"subject\": \"$identity\",
      \"audiences\": [\"api://AzureADTokenExchange\"]
    }"
  fi
fi

echo "$client_id"
