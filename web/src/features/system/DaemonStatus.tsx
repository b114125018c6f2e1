import Alert from '@cloudscape-design/components/alert';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';

import type { Schemas } from '../../api/client';
import { t } from '../../strings';
import { RelativeTime } from '../../ui/RelativeTime';
import { WrappedText } from '../../ui/WrappedText';

/** How the daemon is, and the places that it reaches. */
export function DaemonStatus({ status }: { readonly status: Schemas['DaemonStatus'] }) {
  return (
    <Container header={<Header variant="h2">{t.system.daemon}</Header>}>
      <SpaceBetween size="l">
        {status.reasons.map((why) => (
          <Alert key={why} type="warning">
            {why}
          </Alert>
        ))}
        <KeyValuePairs
          columns={4}
          items={[
            { label: t.fields.state, value: t.system.health[status.status] },
            { label: t.system.version, value: status.version },
            { label: t.system.uptime, value: status.uptime },
            { label: t.system.user, value: status.user },
            { label: t.system.database, value: status.database },
            { label: t.system.aws, value: t.system.connectivity[status.aws_connectivity] },
          ]}
        />
        <Table<Schemas['LocationStatus']>
          variant="embedded"
          contentDensity="compact"
          wrapLines
          items={status.places}
          trackBy="place"
          ariaLabels={{ tableLabel: t.system.places }}
          columnDefinitions={[
            {
              id: 'place',
              header: t.system.places,
              isRowHeader: true,
              minWidth: 160,
              cell: (it) => <WrappedText>{it.place}</WrappedText>,
            },
            {
              id: 'reached',
              header: t.system.reached,
              cell: (it) => it.problem ?? t.system.isReached(it.reachable),
            },
            { id: 'at', header: t.idle.judgedAt, cell: (it) => <RelativeTime at={it.looked_at} /> },
            { id: 'who', header: t.system.identity, cell: (it) => it.identity ?? t.none },
          ]}
        />
      </SpaceBetween>
    </Container>
  );
}
