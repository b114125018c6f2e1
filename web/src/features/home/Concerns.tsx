import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Instance } from '../../api/client';
import { relative } from '../../lib/format';
import { useNow } from '../../lib/now';
import { concern } from '../../lib/states';
import { usePostpone } from '../../lib/usePostpone';
import { t } from '../../strings';
import { PageLink } from '../../ui/PageLink';

const SHOWN = 5;

/** What needs a decision, each with the one button that is most often the right one. */
export function Concerns({ list }: { readonly list: readonly Instance[] }) {
  const now = useNow();
  const postpone = usePostpone();
  const concerns = list.flatMap((instance) => {
    const why = concern(instance, now);
    return why === null ? [] : [{ instance, why }];
  });
  if (concerns.length === 0) return null;
  return (
    <SpaceBetween size="xs">
      {concerns.slice(0, SHOWN).map(({ instance, why }) => {
        const { name, workspace, failure, expires_at: expires } = instance;
        const texts = {
          failed: failure?.message ?? '',
          expiring: expires === null ? '' : t.concerns.expires(relative(expires, now)),
          idle: t.concerns.idle,
        };
        return (
          <Alert
            key={workspace}
            type={why === 'failed' ? 'error' : 'warning'}
            action={
              why !== 'failed' && (
                <Button onClick={() => void postpone[why].run(instance)}>
                  {postpone[why].text}
                </Button>
              )
            }
          >
            <PageLink href={`/workspaces/${name}`}>{name}</PageLink> {texts[why]}
          </Alert>
        );
      })}
      {concerns.length > SHOWN && t.andMore(concerns.length - SHOWN)}
    </SpaceBetween>
  );
}
