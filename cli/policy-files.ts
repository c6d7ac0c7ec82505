/** Policy files: the document kind, and who has signed by the administrators that the configuration pins. */
import type { ClientConfig } from '../schema/contracts/config.ts';
import { Policy, type SignedPolicy } from '../schema/contracts/policy.ts';
import {
  type DocumentKind,
  type Draft,
  missingSignatures,
  type Signatory,
  signatureLine,
} from './documents.ts';

export const POLICY_KIND: DocumentKind<Policy> = { type: 'policy', schema: Policy };

export const signedDraft = ({ policy, signatures }: SignedPolicy): Draft<Policy> => ({
  document: policy,
  signatures,
});
type Pinned = Pick<ClientConfig, 'administrators' | 'administratorQuorum'>;
export const pinsOf = (
  config: Pinned,
): { readonly names: readonly Signatory[]; readonly quorum: number } => ({
  names: config.administrators ?? [],
  quorum: config.administratorQuorum ?? config.administrators?.length ?? 1,
});
/** Who has signed, as far as it can be told here. */
export const pinnedLine = (config: Pinned, draft: Draft<Policy>): string => {
  const { names, quorum } = pinsOf(config);
  return names.length === 0
    ? `signatures of ${draft.signatures.map((one) => one.administrator).join(', ') || 'nobody'}, not checked: no administrators are pinned here`
    : signatureLine(missingSignatures(POLICY_KIND, draft, names, quorum));
};
