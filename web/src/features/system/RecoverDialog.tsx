import Box from '@cloudscape-design/components/box';
import Checkbox from '@cloudscape-design/components/checkbox';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import type { Schemas } from '../../api/client';
import { upkeepActions } from '../../api/upkeepActions';
import { upkeepQueries } from '../../api/upkeepQueries';
import { useDebounced } from '../../lib/useDebounced';
import { t } from '../../strings';
import { Dialog } from '../../ui/Dialog';
import { Loaded } from '../../ui/Loaded';
import { useNotify } from '../../ui/Notifications';

/** Shows which machines have no workspace, and takes them back. */
export default function RecoverDialog({ close }: { readonly close: () => void }) {
  const [accept, setAccept] = useState(false);
  const [everybody, setEverybody] = useState(false);
  const [home, setHome] = useState('');
  const typed = useDebounced(home, 300);
  const request = { accept, everybody, adopt_home: typed === '' ? null : typed };
  const query = useQuery(upkeepQueries.recoverable(request));
  const { notify } = useNotify();
  const act = async () => {
    const { recovered } = await upkeepActions.recover(request);
    notify({ type: 'success', header: t.upkeep.recovered(recovered.map((it) => it.name)) });
  };
  return (
    <Dialog
      title={t.upkeep.recover}
      button={t.upkeep.takeBack}
      ready={
        typed === home && query.data !== undefined && (accept || query.data.recovered.length > 0)
      }
      act={act}
      close={close}
    >
      <Checkbox checked={everybody} onChange={({ detail }) => setEverybody(detail.checked)}>
        {t.upkeep.everybody}
      </Checkbox>
      <Checkbox checked={accept} onChange={({ detail }) => setAccept(detail.checked)}>
        {t.upkeep.accept}
      </Checkbox>
      <FormField label={t.upkeep.home} description={t.upkeep.homeWhat}>
        <Input value={home} onChange={({ detail }) => setHome(detail.value)} />
      </FormField>
      <Loaded query={query} what={t.upkeep.recover}>
        {(answer) => <Survey answer={answer} />}
      </Loaded>
    </Dialog>
  );
}

function Survey({ answer }: { readonly answer: Schemas['RecoverAnswer'] }) {
  const { recovered, left, places } = answer;
  return (
    <Box>
      {recovered.length === 0 && t.upkeep.nothingLost(places.map((it) => it.place))}
      <ul>
        {recovered.map((it) => (
          <li key={it.instance_id}>{t.upkeep.lost(it.name, it.owner, it.place)}</li>
        ))}
        {left.map((it) => (
          <li key={it.id}>{t.upkeep.left(it.name ?? it.id, it.why)}</li>
        ))}
        {places.flatMap((it) =>
          !it.problem ? [] : [<li key={it.place}>{t.upkeep.left(it.place, it.problem)}</li>],
        )}
      </ul>
    </Box>
  );
}
