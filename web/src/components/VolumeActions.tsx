import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import { useQuery } from '@tanstack/react-query';

import { actions } from '../api/actions';
import { queries } from '../api/queries';
import type { Volume } from '../lib/volumes';
import { t } from '../strings';
import { useNotify } from './Notifications';

/** Attaching a volume to a workspace, and detaching it; its data stays either way. */
export function VolumeActions({ volume }: { readonly volume: Volume }) {
  const { data: instances = [] } = useQuery(queries.instances);
  const { notify, failed } = useNotify();
  const free = volume.kind === 'efs' || volume.attached.length === 0;
  const targets = instances
    .filter((it) => it.state !== 'terminated' && !volume.attached.includes(it.name))
    .map((it) => ({ id: `attach ${it.name}`, text: t.storage.attach(it.name) }));
  const items = [
    ...volume.attached.map((name) => ({ id: `detach ${name}`, text: t.storage.detach(name) })),
    ...(free ? targets : []),
  ];
  const choose = async (id: string) => {
    const [verb = '', instance = ''] = id.split(' ');
    const header = verb === 'attach' ? t.storage.attach(instance) : t.storage.detach(instance);
    try {
      if (verb === 'attach') await actions.attach(volume.name, instance);
      else await actions.detach(volume.name, instance);
      notify({ type: 'success', header: `${volume.name}: ${header}` });
    } catch (error) {
      failed(`${volume.name}: ${header}`, error as Error);
    }
  };
  return (
    <ButtonDropdown
      variant="inline-icon"
      expandToViewport
      disabled={items.length === 0}
      ariaLabel={t.storage.actionsOf(volume.name)}
      items={items}
      onItemClick={({ detail }) => void choose(detail.id)}
    />
  );
}
