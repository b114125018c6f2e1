import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { actions } from '../api/actions';
import type { Instance } from '../api/client';
import { relative } from '../lib/format';
import { useNow } from '../lib/now';
import { concern } from '../lib/states';
import { t } from '../strings';
import { useNotify } from './Notifications';
import { PageLink } from './PageLink';

const SHOWN = 5;
const HOURS = 4;
const MINUTES = 120;

/** What needs a decision, each with the one button that is most often the right one. */
export function Concerns({ list }: { readonly list: readonly Instance[] }) {
  const now = useNow();
  const { notify, failed } = useNotify();
  const found = list.flatMap((it) => {
    const why = concern(it, now);
    return why === null ? [] : [{ it, why }];
  });
  if (found.length === 0) return null;
  const act = async (header: string, done: () => Promise<unknown>) => {
    try {
      await done();
      notify({ type: 'success', header });
    } catch (error) {
      failed(header, error as Error);
    }
  };
  return (
    <SpaceBetween size="xs">
      {found.slice(0, SHOWN).map(({ it, why }) => {
        const link = <PageLink href={`/workspaces/${it.name}`}>{it.name}</PageLink>;
        const extend = () => actions.extend(it.name, HOURS);
        const awake = () => actions.keepAwake(it.name, MINUTES);
        const buttons = {
          failed: undefined,
          expiring: (
            <Button onClick={() => void act(t.extend.done(it.name, HOURS), extend)}>
              {t.extend.button(HOURS)}
            </Button>
          ),
          idle: (
            <Button onClick={() => void act(t.idle.kept(it.name, MINUTES), awake)}>
              {t.idle.keepAwakeFor(MINUTES)}
            </Button>
          ),
        };
        const said = {
          failed: it.failure?.message ?? '',
          expiring: it.expires_at === null ? '' : t.concerns.expires(relative(it.expires_at, now)),
          idle: t.concerns.idle,
        };
        return (
          <Alert key={it.name} type={why === 'failed' ? 'error' : 'warning'} action={buttons[why]}>
            {link} {said[why]}
          </Alert>
        );
      })}
      {found.length > SHOWN && t.andMore(found.length - SHOWN)}
    </SpaceBetween>
  );
}
