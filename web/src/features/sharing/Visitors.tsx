import Alert from '@cloudscape-design/components/alert';
import { useQuery } from '@tanstack/react-query';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { moment } from '../../lib/format';
import { t } from '../../strings';

/** Who else is in a workspace now. */
export function Visitors({ instance }: { readonly instance: Instance }) {
  const { data } = useQuery(queries.visits(instance.workspace));
  const now = (data?.visits ?? []).filter((it) => it.ended_at === null);
  if (now.length === 0) return null;
  return (
    <Alert type="info">
      {now.map((it) => (
        <div key={`${it.person} ${it.way}`}>
          {t.sharing.isHere(it.person, moment(it.began_at), t.sharing.ways[it.way])}
        </div>
      ))}
    </Alert>
  );
}
