using System;
using System.Buffers;
using System.Buffers.Text;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using CivetWeb.Net.Interop;

namespace CivetWeb.Net;

/// <summary>Files with certificates and keys: their bytes, their format, the certificates of a PEM file.</summary>
internal static class ServerCertificateFile
{
    private const int MaxSize = 4 * 1024 * 1024;

    /// <summary>The whole file, in memory that can be erased for good.</summary>
    /// <param name="path">The file.</param>
    /// <param name="option">The option that names it, for the message.</param>
    public static byte[] Read(string path, string option)
    {
        if (SocketFile.IsRegular(path) == false && !Directory.Exists(path))
        {
            throw new IOException($"'{path}' ({option}) is not a regular file: a pipe or a device would be waited for.");
        }

        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            if (stream.Length > MaxSize)
            {
                throw new CryptographicException($"'{path}' ({option}) has {stream.Length} bytes: it cannot be a file with certificates or keys.");
            }

            byte[] bytes = ServerCertificate.Secret((int)stream.Length);
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FileNotFoundException($"The file '{path}' ({option}) does not exist.", path, e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UnauthorizedAccessException($"The file '{path}' ({option}) may not be read by this process, or is a directory.", e);
        }
    }

    public static bool IsPem(ReadOnlySpan<byte> file) => file.IndexOf("-----BEGIN "u8) >= 0;

    public static bool IsPkcs12(string path, byte[] file)
    {
        if (Path.GetExtension(path).ToUpperInvariant() is ".PFX" or ".P12")
        {
            return true;
        }

        try
        {
            return file.Length > 0 && X509Certificate2.GetCertContentType(file) == X509ContentType.Pkcs12;
        }
        catch (CryptographicException)
        {
            return false; // nothing it knows
        }
    }

    /// <summary>The certificates in the file's order; at least one. The caller disposes of them.</summary>
    /// <exception cref="CryptographicException">There is none, or one is damaged.</exception>
    public static List<X509Certificate2> ReadPemCertificates(ReadOnlySpan<byte> pem, string path, string option)
    {
        var result = new List<X509Certificate2>();
        try
        {
            while (PemEncoding.TryFindUtf8(pem, out PemFields fields))
            {
                if (pem[fields.Label].SequenceEqual("CERTIFICATE"u8))
                {
                    result.Add(Load(pem[fields.Base64Data], fields.DecodedDataLength));
                }

                pem = pem[fields.Location.End..];
            }

            // Not well-formed PEM any more, and yet the beginning of something: a file that is still being written.
            if (pem.IndexOf("-----BEGIN CERTIFICATE-----"u8) >= 0)
            {
                throw new CryptographicException("a block 'CERTIFICATE' is incomplete or is not base64");
            }

            return result.Count > 0 ? result : throw new CryptographicException("there is no block 'CERTIFICATE' in it");
        }
        catch (CryptographicException e)
        {
            result.ForEach(c => c.Dispose());
            throw new CryptographicException($"The certificates of '{path}' ({option}) cannot be read: {e.Message}.", e);
        }
    }

    private static X509Certificate2 Load(ReadOnlySpan<byte> base64, int size)
    {
        byte[] der = new byte[size];
        return Base64.DecodeFromUtf8(base64, der, out _, out int written) == OperationStatus.Done
            ? X509CertificateLoader.LoadCertificate(der.AsSpan(0, written))
            : throw new CryptographicException("a block 'CERTIFICATE' is not base64");
    }
}
