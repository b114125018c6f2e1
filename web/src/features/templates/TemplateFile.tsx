import Container from '@cloudscape-design/components/container';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import Header from '@cloudscape-design/components/header';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../../api/queries';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { WrappedText } from '../../ui/WrappedText';

/** The YAML of a template as its author wrote it, also of one that cannot be used. */
export function TemplateFile({ name }: { readonly name: string }) {
  const query = useQuery(queries.templateYaml(name));
  return (
    <Loaded query={query} what={t.templates.yaml}>
      {({ yaml, file }) => (
        <Container
          header={
            <Header
              variant="h2"
              description={<WrappedText>{file}</WrappedText>}
              actions={
                <CopyToClipboard
                  copyButtonText={t.copy}
                  textToCopy={yaml}
                  copySuccessText={t.copied}
                  copyErrorText={t.notCopied}
                />
              }
            >
              {t.templates.yaml}
            </Header>
          }
        >
          <pre className="mono log" tabIndex={0} aria-label={t.templates.yaml}>
            {yaml}
          </pre>
        </Container>
      )}
    </Loaded>
  );
}
