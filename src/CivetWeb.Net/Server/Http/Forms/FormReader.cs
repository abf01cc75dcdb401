using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace CivetWeb.Net;

/// <summary>The variables of a form, within their limits.</summary>
internal static class FormReader
{
    public static async Task<RequestVariableCollection> ReadAsync(ServerRequest request, FormOptions options, CancellationToken cancellationToken)
    {
        if (MediaType.Is(request.ContentType, "application/x-www-form-urlencoded"))
        {
            if (request.ContentLength > options.MaxTextSize)
            {
                throw TooLarge();
            }

            byte[] encoded = await ReadTextAsync(request.Body, options.MaxTextSize, cancellationToken).ConfigureAwait(false);
            if (encoded.AsSpan().Count((byte)'&') >= options.MaxFields)
            {
                throw TooMany();
            }

            return new RequestVariableCollection(Encoding.UTF8.GetString(encoded));
        }

        if (!MediaType.Is(request.ContentType, "multipart/form-data"))
        {
            throw new BadRequestException(
                415, "The request must be a form: application/x-www-form-urlencoded or multipart/form-data.");
        }

        var variables = new List<KeyValuePair<string, string>>();
        int left = options.MaxTextSize;
        await request.ReadMultipartAsync(
            async part =>
            {
                if (part.FileName is null)
                {
                    byte[] text = await ReadTextAsync(part.Body, left, cancellationToken).ConfigureAwait(false);
                    left -= text.Length;
                    variables.Add(new(part.Name, Encoding.UTF8.GetString(text)));
                }
            },
            options,
            cancellationToken).ConfigureAwait(false);
        return new RequestVariableCollection(variables);
    }

    public static BadRequestException TooMany() => new(413, "The form has too many fields.");

    private static async Task<byte[]> ReadTextAsync(Stream stream, int limit, CancellationToken cancellationToken)
    {
        using var text = new MemoryStream();
        byte[] buffer = new byte[4096];
        int n;
        while ((n = await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0)
        {
            if (text.Length + n > limit)
            {
                throw TooLarge();
            }

            text.Write(buffer, 0, n);
        }

        return text.ToArray();
    }

    private static BadRequestException TooLarge() => new(413, "The fields of the form are too large.");
}
