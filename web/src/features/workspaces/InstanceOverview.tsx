import ColumnLayout from '@cloudscape-design/components/column-layout';
import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Instance } from '../../api/client';
import { hourly, moment, money } from '../../lib/format';
import { reachesServices, useMe } from '../../lib/me';
import { t } from '../../strings';
import { ConnectPanel } from './ConnectPanel';
import { Remediation } from '../../ui/Remediation';
import { ValueWithSource } from '../../ui/ValueWithSource';
import { RelativeTime } from '../../ui/RelativeTime';

/** How to get in, what it costs, and what it is. */
export function InstanceOverview({
  instance: it,
  manages,
}: {
  readonly instance: Instance;
  readonly manages: boolean;
}) {
  const reaches = reachesServices(useMe());
  const volumes = [...(it.attached_ebs_volumes ?? []), ...(it.attached_volumes ?? [])];
  return (
    <SpaceBetween size="l">
      {manages && reaches && <ConnectPanel instance={it} />}
      {manages && !reaches && (
        <Container header={<Header variant="h2">{t.workspace.tab.terminal}</Header>}>
          <Remediation text={t.workspace.tunnel(it.name)} />
        </Container>
      )}
      <ColumnLayout columns={2}>
        <Container fitHeight header={<Header variant="h2">{t.workspace.money}</Header>}>
          <KeyValuePairs
            columns={2}
            items={[
              {
                label: t.fields.rate,
                value: (
                  <ValueWithSource
                    value={hourly(it.hourly_rate)}
                    label={t.fields.rate}
                    source={t.source.rate(it.price_source)}
                  />
                ),
              },
              {
                label: t.fields.spent,
                value: (
                  <ValueWithSource
                    value={money(it.current_spend)}
                    label={t.fields.spent}
                    source={t.source.spent}
                  />
                ),
              },
              { label: t.fields.project, value: it.tags['Project'] ?? t.none },
              { label: t.fields.budget, value: it.tags['Budget'] ?? t.none },
              {
                label: t.fields.expires,
                value: it.expires_at === null ? t.expiry.none : <RelativeTime at={it.expires_at} />,
              },
              {
                label: t.fields.idle,
                value: t.idle.verdict(it.idle.verdict, it.idle.idle_minutes),
              },
            ]}
          />
        </Container>
        <Container fitHeight header={<Header variant="h2">{t.workspace.machine}</Header>}>
          <KeyValuePairs
            columns={2}
            items={[
              { label: t.fields.template, value: it.template },
              { label: t.fields.type, value: it.machine },
              { label: t.fields.region, value: it.region },
              { label: t.fields.profile, value: it.profile },
              { label: t.fields.id, value: it.id ?? t.none },
              { label: t.fields.launched, value: moment(it.launch_time) },
              ...(it.launched_by && it.launched_by !== it.owner
                ? [{ label: t.fields.launchedBy, value: it.launched_by }]
                : []),
              { label: t.fields.address, value: it.public_ip ?? it.private_ip ?? t.none },
              { label: t.fields.volumes, value: volumes.join(', ') || t.none },
            ]}
          />
        </Container>
      </ColumnLayout>
    </SpaceBetween>
  );
}
