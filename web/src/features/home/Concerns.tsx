import Alert from '@cloudscape-design/components/alert';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Instance } from '../../api/client';
import { t } from '../../strings';
import { PageLink } from '../../ui/PageLink';

const SHOWN = 5;

/** The workspaces that failed, and why; what is only idle or expires is in the next 24 hours. */
export function Concerns({ list }: { readonly list: readonly Instance[] }) {
  const failed = list.filter((it) => it.failure !== null);
  if (failed.length === 0) return null;
  return (
    <SpaceBetween size="xs">
      {failed.slice(0, SHOWN).map(({ name, workspace, failure }) => (
        <Alert key={workspace} type="error">
          <PageLink href={`/workspaces/${name}`}>{name}</PageLink> {failure?.message}
        </Alert>
      ))}
      {failed.length > SHOWN && t.andMore(failed.length - SHOWN)}
    </SpaceBetween>
  );
}
