// Package seal protects what rests in the store: it encrypts secrets and
// tokens so that whoever reads the store alone cannot use them, and it hashes
// names so that index keys carry no personal data and cannot be steered by
// whoever chose the name.
//
//   - Keyring encrypts with XChaCha20-Poly1305 under keys derived from
//     secrets.keys. The first key seals, all open, so keys can be rotated: put
//     the new key last everywhere, then first everywhere, then drop the old.
//   - IndexKey hashes under a key of its own that is never rotated: rotating
//     it would lose every index entry, and so double every account.
//   - StoredKeys makes the keys of an installation that configures none.
//   - Hold and HoldStored keep both in a store that may lose everything under
//     running replicas.
//
// It does not decide what is sealed, and it does not hash passwords.
package seal
