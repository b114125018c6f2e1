import type { Schemas } from '../../api/client';
import { t } from '../../strings';

type Share = Schemas['ShareShown'];

/** What of a workspace is shared. */
export function thingOf(share: Share): string {
  return share.app ?? t.sharing.terminal;
}

/** With whom. */
export function guestOf(share: Share): string {
  if (share.audience === 'everybody') return t.sharing.everybody;
  const guest = share.guest ?? '';
  return share.audience === 'project' ? t.sharing.ofProject(guest) : guest;
}
