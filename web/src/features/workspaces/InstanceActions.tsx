import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { lazy, Suspense, useState } from 'react';

import { LIFECYCLE, type Lifecycle } from '../../api/actions';
import type { Instance } from '../../api/client';
import { isLocal } from '../../lib/providers';
import { allows } from '../../lib/states';
import { useVerbs } from '../../lib/useVerbs';
import { reachesServices, useMe } from '../../lib/me';
import { t } from '../../strings';
import { OpenButton } from './OpenButton';

const ExpiryDialog = lazy(() => import('./ExpiryDialog'));
const TerminateDialog = lazy(() => import('./TerminateDialog'));

/** What can be done to one workspace now. */
export function InstanceActions({ instance }: { readonly instance: Instance }) {
  const run = useVerbs();
  const me = useMe();
  const [dialog, setDialog] = useState<string | null>(null);
  const [asked, setAsked] = useState<Lifecycle | null>(null);
  const [first, ...others] = LIFECYCLE.toSorted(byUse).filter((verb) => allows(instance, verb));
  const close = () => setDialog(null);
  const ask = async (verb: Lifecycle) => {
    setAsked(verb);
    await run(verb, [instance]);
    setAsked(null);
  };
  const choose = (id: string) => {
    const verb = LIFECYCLE.find((it) => it === id);
    if (verb === undefined) setDialog(id);
    else void ask(verb);
  };
  return (
    <SpaceBetween direction="horizontal" size="xs">
      {first !== undefined && (
        <Button
          onClick={() => choose(first)}
          loading={asked === first}
          loadingText={t.pending}
          nativeButtonAttributes={keepsInMemory(instance, first) ? { title: t.inMemory } : {}}
        >
          {t.verbs[first]}
        </Button>
      )}
      <ButtonDropdown
        ariaLabel={t.workspace.more(instance.name)}
        onItemClick={({ detail }) => choose(detail.id)}
        items={[
          ...others.map((verb) => ({ id: verb, text: t.verbs[verb] })),
          { id: 'expiry', text: `${t.expiry.button}…`, disabled: instance.state === 'terminated' },
          {
            id: 'terminate',
            text: `${t.verbs.terminate}…`,
            disabled: !allows(instance, 'terminate'),
          },
        ]}
      >
        {t.workspaces.actions}
      </ButtonDropdown>
      {reachesServices(me) && <OpenButton instance={instance} />}
      {dialog === 'expiry' && (
        <Suspense>
          <ExpiryDialog instances={[instance]} close={close} />
        </Suspense>
      )}
      {dialog === 'terminate' && (
        <Suspense>
          <TerminateDialog instances={[instance]} close={close} done={close} />
        </Suspense>
      )}
    </SpaceBetween>
  );
}

/** Whether a sleep on this computer is not written to a disk. */
function keepsInMemory(instance: Instance, verb: string): boolean {
  return verb === 'hibernate' && isLocal(instance);
}

const USE = ['resume', 'hibernate', 'start', 'stop', 'restart'];

function byUse(a: string, b: string): number {
  return USE.indexOf(a) - USE.indexOf(b);
}
