// What depends on the provider, by its name: the one place that compares them.

import type { Instance, Schemas } from '../api/client';

type Provider = Schemas['NewProfile']['provider'];

/** Whether a workspace runs on the computer of the daemon. */
export const isLocal = (it: Pick<Instance, 'region'>): boolean => it.region === 'local';

/** Whether workspaces of this provider run on the computer of the daemon. */
export const runsHere = (provider: string): boolean => provider === 'local';

/** The provider that somebody has chosen in a form. */
export const providerOf = (chosen: string | undefined): Provider =>
  chosen === 'aws' || chosen === 'ssh' ? chosen : 'local';
