import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ColumnLayout from '@cloudscape-design/components/column-layout';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { AsCommand } from '../../ui/AsCommand';
import { InheritanceChain } from './InheritanceChain';
import { Loaded } from '../../ui/Loaded';
import { TemplateFile } from './TemplateFile';
import { templateOf } from '../../lib/equivalentsOfTemplates';
import { useFollow } from '../../lib/follow';
import { usable } from '../../lib/order';
import { t } from '../../strings';

/** One template: what it installs, from whom it inherits, what can be set. */
export default function Template() {
  const { slug = '' } = useParams();
  const query = useQuery(queries.template(slug));
  return (
    <>
      <Loaded query={query} what={slug}>
        {(info) => <Shown info={info} />}
      </Loaded>
      {query.data === undefined && query.error !== null && <TemplateFile name={slug} />}
    </>
  );
}

function Shown({ info }: { readonly info: Schemas['TemplateInfo'] }) {
  const follow = useFollow();
  const { data: profile } = useQuery(queries.profile);
  const { resolved } = info;
  const parameters = Object.entries(resolved.parameters ?? {});
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description={info.description}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <AsCommand equivalents={templateOf(info.slug || info.name)} />
              <Button
                variant="primary"
                disabled={profile === undefined || !usable(info, profile.provider)}
                href={`/launch?template=${encodeURIComponent(info.slug || info.name)}`}
                onFollow={follow}
              >
                {t.launch.short}
              </Button>
            </SpaceBetween>
          }
        >
          {info.name}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Container header={<Header variant="h2">{t.templates.about}</Header>}>
          <KeyValuePairs
            columns={4}
            items={[
              { label: t.templates.status, value: t.templates.statuses[info.validation_status] },
              {
                label: t.templates.here,
                value: info.runs_locally ? t.yes : info.local_reasons.join('; ') || t.no,
              },
              { label: t.templates.category, value: resolved.category ?? t.none },
              { label: t.templates.base, value: resolved.base ?? t.none },
              { label: t.templates.manager, value: resolved.package_manager ?? t.none },
              { label: t.templates.ports, value: info.resolved_ports.join(', ') || t.none },
              { label: t.launch.size, value: resolved.size ?? 'M' },
              { label: t.templates.file, value: info.file },
            ]}
          />
        </Container>
        <ColumnLayout columns={2}>
          <Container fitHeight header={<Header variant="h2">{t.templates.inheritance}</Header>}>
            <InheritanceChain chains={info.dependency_chain} />
          </Container>
          <Container fitHeight header={<Header variant="h2">{t.templates.services}</Header>}>
            {Object.entries(resolved.services ?? {}).map(([name, it]) => (
              <Box key={name} variant="p">
                {name} · {t.templates.port(it.port)}
              </Box>
            ))}
            {Object.keys(resolved.services ?? {}).length === 0 && t.none}
          </Container>
        </ColumnLayout>
        <Container
          header={
            <Header variant="h2" counter={`(${info.resolved_packages.length})`}>
              {t.templates.packages}
            </Header>
          }
        >
          <div className="mono">{info.resolved_packages.join('  ') || t.none}</div>
        </Container>
        {parameters.length > 0 && (
          <Table
            header={<Header variant="h2">{t.templates.parameters}</Header>}
            items={parameters}
            columnDefinitions={[
              { id: 'name', header: t.fields.name, isRowHeader: true, cell: ([name]) => name },
              { id: 'type', header: t.fields.type, cell: ([, it]) => it.type },
              {
                id: 'default',
                header: t.templates.default,
                cell: ([, it]) => String(it.default ?? t.none),
              },
              { id: 'what', header: t.templates.meaning, cell: ([, it]) => it.description ?? '' },
            ]}
          />
        )}
        <TemplateFile name={info.slug || info.name} />
        {info.troubleshooting_guide !== '' && (
          <Container header={<Header variant="h2">{t.templates.trouble}</Header>}>
            <Box variant="p">{info.troubleshooting_guide}</Box>
          </Container>
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}
