import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Cards from '@cloudscape-design/components/cards';
import Header from '@cloudscape-design/components/header';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import TextFilter from '@cloudscape-design/components/text-filter';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { AsCommand } from '../../ui/AsCommand';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { PageLink } from '../../ui/PageLink';
import { TemplateChecks } from './TemplateChecks';
import { TemplateBadges } from './TemplateBadges';
import { templatesOf } from '../../lib/equivalentsOfTemplates';
import { useFollow } from '../../lib/follow';
import { usable } from '../../lib/order';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';

/** Every template, by category. */
export default function Templates() {
  const { data: list, error, refetch } = useQuery(queries.templates);
  const { data: profile } = useQuery(queries.profile);
  const [search, change] = useSearch();
  const follow = useFollow();
  if (error !== null && list === undefined)
    return <ErrorAlert error={error} retry={() => void refetch()} />;
  const provider = profile?.provider ?? 'local';
  const text = search.get('find') ?? '';
  const category = search.get('category') ?? '';
  const categories = [...new Set((list ?? []).map((it) => it.category))].sort();
  const options = [
    { value: '', label: t.templates.everyCategory },
    ...categories.map((it) => ({ value: it, label: it })),
  ];
  const matching = (list ?? [])
    .filter((it) => category === '' || it.category === category)
    .filter((it) =>
      `${it.name} ${it.description} ${it.packages.join(' ')}`
        .toLowerCase()
        .includes(text.toLowerCase()),
    )
    .toSorted((a, b) => Number(usable(b, provider)) - Number(usable(a, provider)));
  return (
    <Cards
      variant="full-page"
      stickyHeader
      loading={list === undefined}
      loadingText={t.loading(t.pages.templates)}
      items={matching}
      trackBy="slug"
      cardsPerRow={[{ cards: 1 }, { minWidth: 560, cards: 2 }, { minWidth: 1100, cards: 3 }]}
      header={
        <Header
          variant="awsui-h1-sticky"
          counter={list === undefined ? '' : `(${matching.length})`}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <AsCommand equivalents={templatesOf()} />
              <TemplateChecks />
            </SpaceBetween>
          }
        >
          {t.pages.templates}
        </Header>
      }
      filter={
        <SpaceBetween direction="horizontal" size="s">
          <TextFilter
            filteringText={text}
            filteringPlaceholder={t.templates.filter}
            filteringAriaLabel={t.templates.filter}
            countText={text === '' ? '' : t.matches(matching.length)}
            onChange={({ detail }) => change({ find: detail.filteringText || null })}
          />
          <Select
            ariaLabel={t.templates.category}
            selectedOption={options.find((it) => it.value === category) ?? null}
            options={options}
            onChange={({ detail }) => change({ category: detail.selectedOption.value || null })}
          />
        </SpaceBetween>
      }
      cardDefinition={{
        header: (it) => <PageLink href={`/templates/${it.slug}`}>{it.name}</PageLink>,
        sections: [
          { id: 'description', content: (it) => it.description },
          { id: 'badges', content: (it) => <TemplateBadges template={it} provider={provider} /> },
          {
            id: 'launch',
            content: (it) =>
              usable(it, provider) ? (
                <Button
                  href={`/launch?template=${encodeURIComponent(it.slug)}`}
                  onFollow={follow}
                  ariaLabel={t.templates.launchOne(it.name)}
                >
                  {t.launch.short}
                </Button>
              ) : (
                <Box color="text-body-secondary">{it.local_reasons.join('; ')}</Box>
              ),
          },
        ],
      }}
      empty={<Box color="text-body-secondary">{t.templates.noMatch}</Box>}
    />
  );
}
