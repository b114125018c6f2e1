// What depends on the provider, by its name: the one place that compares them.

import type { Instance, Schemas } from '../api/client';
import { t } from '../strings';

type Provider = Schemas['NewProfile']['provider'];

/** Whether a workspace runs on the computer of the daemon. */
export const isLocal = (it: Pick<Instance, 'region'>): boolean => it.region === 'local';

/** Whether workspaces of this provider run on the computer of the daemon. */
export const runsHere = (provider: string): boolean => provider === 'local';

/** Every provider; the compiler compares their labels with the values of the API. */
const LABELS: Record<Provider, string> = t.system.providers;
export const PROVIDERS = Object.keys(LABELS) as readonly Provider[];

/** The provider that somebody has chosen in a form. */
export const providerOf = (chosen: string | undefined): Provider =>
  PROVIDERS.find((provider) => provider === chosen) ?? 'local';
